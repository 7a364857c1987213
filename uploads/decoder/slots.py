"""Limits how many short-lived decoders a process runs at once: probes, listening copies and waveforms together.

Without the limit, eight hostile files at once took 11 GiB of memory. The decoders of jobs have their own limit
(`streaming/spool.py`). Callers run on different event loops and threads, so a lock guards the state.
"""

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import count


class Purpose(IntEnum):
    """The purpose of a decoder. A lower number has priority, because a person waits for the result."""

    PROBE = 0
    LISTEN = 1
    WAVEFORM = 2


MAX_DECODERS = 3  # slots in a process: with the memory limit of a probe at most 1.5 GiB of address space
MAX_A_PERSON = 2  # a person whose files take minutes each must leave a slot to other people
MAX_WAVEFORMS = 1  # a library page full of new recordings must not occupy the whole machine


@dataclass(eq=False)
class Waiter:
    purpose: Purpose
    person: int | None
    number: int
    granted: "Future[None]" = field(default_factory=Future)


class Slots:
    """Grants slots to waiting decoders: by purpose first, then to the person who holds the fewest slots.

    Callers on any event loop acquire a slot with `async with slots.acquire(…)`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = count()
        self._waiting: list[Waiter] = []
        self._running: list[Waiter] = []
        self._last_grants: dict[int | None, int] = {}  # person → the number of that person's last grant

    @asynccontextmanager
    async def acquire(self, purpose: Purpose, person: int | None = None) -> AsyncIterator[None]:
        """Wait for a slot and hold it. `person` is the id of the owner's account; None if there is no account."""
        with self._lock:
            waiter = Waiter(purpose, person, next(self._numbers))
            self._waiting.append(waiter)
            self._grant()
        try:
            await asyncio.wrap_future(waiter.granted)
            yield
        finally:
            self._release(waiter)

    def _release(self, waiter: Waiter) -> None:
        with self._lock:
            # The waiter may be cancelled in the moment in which it is granted a slot, so look in both lists.
            (self._running if waiter in self._running else self._waiting).remove(waiter)
            self._grant()

    def _grant(self) -> None:
        """Grant free slots to waiters. The caller holds the lock."""
        while len(self._running) < MAX_DECODERS and (
            allowed := [each for each in self._waiting if self._is_allowed(each)]
        ):
            waiter = min(allowed, key=self._rank)
            self._waiting.remove(waiter)
            self._running.append(waiter)
            self._last_grants[waiter.person] = next(self._numbers)
            if waiter.granted.set_running_or_notify_cancel():
                waiter.granted.set_result(None)
        if not self._running and not self._waiting:
            self._last_grants.clear()  # else the dict would grow by every person who ever used the site

    def _is_allowed(self, waiter: Waiter) -> bool:
        if waiter.person is not None and self._held_by(waiter.person) >= MAX_A_PERSON:
            return False
        waveforms = sum(each.purpose is Purpose.WAVEFORM for each in self._running)
        return waiter.purpose is not Purpose.WAVEFORM or waveforms < MAX_WAVEFORMS

    def _rank(self, waiter: Waiter) -> tuple[int, int, int, int]:
        """Return the sort key of a waiter; the lowest goes first.

        Purpose decides first, then the number of slots that the person holds, then the time of the person's last grant.
        """
        person = waiter.person
        return waiter.purpose, self._held_by(person), self._last_grants.get(person, -1), waiter.number

    def _held_by(self, person: int | None) -> int:
        return sum(each.person == person for each in self._running)


slots = Slots()
