"""The service's clock: every rule is kept in its seconds, which may run faster than the wall's."""

import asyncio
import time
from collections.abc import Callable


class Clock:
    """Counts service seconds from 0, `rate` of them in a second of the wall's."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._loop = asyncio.get_running_loop()
        self._loop_start = self._loop.time()
        self._wall_start = time.time()

    def now(self) -> float:
        return (self._loop.time() - self._loop_start) * self.rate

    def loop_time(self) -> float:
        return self._loop.time()

    def of_date(self, seconds: float) -> float:
        """Return a date of the wall (seconds since 1970) on this clock, which ran at its rate before too.

        So a signature that is a minute of the wall old is `rate` minutes old for the service.
        """
        return (seconds - self._wall_start) * self.rate

    def date(self, moment: float) -> float:
        """Return the date of the wall (seconds since 1970) at a moment of this clock."""
        return self._wall_start + moment / self.rate

    def call_at(self, moment: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        return self._loop.call_at(self._loop_start + moment / self.rate, callback)
