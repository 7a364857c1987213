"""Observe a job while its workers are killed: the stand-in that receives its audio, and a viewer. For `takeover.py`."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from websockets.exceptions import ConnectionClosed

from tests.standin.service import Service
from tests.visitor import Visitor, events


@contextmanager
def standin() -> Iterator[Service]:
    """Run the stand-in in a thread, so that the benchmark can read its record of each stream."""
    started, stop = threading.Event(), threading.Event()
    made: list[Service] = []

    async def serve() -> None:
        async with Service(rate=1.0) as service:
            made.append(service)
            started.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    started.wait()
    yield made[0]
    stop.set()
    thread.join()


class Viewer(threading.Thread):
    """Watches the job; records the time of each claim and of the first words after it."""

    def __init__(self, visitor: Visitor, job: str) -> None:
        super().__init__(daemon=True)
        self.socket = visitor.watch(job)
        self.claims: list[float] = []
        self.words: list[float] = []  # for each claim, the time of the first words after it; 0 until they arrive
        self._started_at: str | None = None

    def run(self) -> None:
        try:
            for event in events(self.socket):
                now = time.monotonic()
                started_at = event.get("job", {}).get("started_at")
                if started_at is not None and started_at != self._started_at:
                    self._started_at = started_at
                    self.claims.append(now)
                    self.words.append(0.0)
                if event["type"] in ("partial", "final") and self.words and not self.words[-1]:
                    self.words[-1] = now
        except ConnectionClosed:
            return  # the benchmark is over
