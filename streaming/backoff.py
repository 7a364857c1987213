"""How long to wait before something is tried again. Pure."""

import random

LONGEST_PAUSE_SECONDS = 30.0


def pause_seconds(failures: int, first_seconds: float) -> float:
    """Return the pause after `failures` in a row (0: the first), doubled each time, and never the same for two jobs."""
    return min(LONGEST_PAUSE_SECONDS, first_seconds * 2 ** min(failures, 16) * random.uniform(1.0, 1.5))
