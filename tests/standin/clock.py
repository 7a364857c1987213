"""The stand-in's clock. All its rules use this clock, which tests may run faster than real time."""

import asyncio
import time
from collections.abc import Callable


class Clock:
    """Counts the service's seconds from 0, at `rate` of them per second of real time."""

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
        """Return a real date (seconds since 1970) on this clock, as if the clock had always run at its rate.

        A signature that is one real minute old is therefore `rate` minutes old for the service.
        """
        return (seconds - self._wall_start) * self.rate

    def date(self, moment: float) -> float:
        """Return the real date (seconds since 1970) at a moment of this clock."""
        return self._wall_start + moment / self.rate

    def call_at(self, moment: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        return self._loop.call_at(self._loop_start + moment / self.rate, callback)
