"""Exponential backoff with jitter, for engines and postponed jobs."""

import random

LONGEST_PAUSE_SECONDS = 30.0


def pause_seconds(failures: int, first_seconds: float) -> float:
    """Return the pause (seconds) after `failures` earlier failures in a row: doubled each time, at most 30 s.

    The random factor keeps jobs that failed together from retrying together.
    """
    return min(LONGEST_PAUSE_SECONDS, first_seconds * 2 ** min(failures, 16) * random.uniform(1.0, 1.5))
