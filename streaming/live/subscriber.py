"""A viewer's place in a feed: the feed moves it and says when there is more, the consumer waits for that."""

import asyncio
from collections.abc import Callable

from streaming import metrics


class Subscriber:
    """How far one viewer has come: the last final and the version of the register that it was sent.

    `session_key` says whose it is; `evict` is called with the code to close with, perhaps more than once.
    """

    def __init__(self, session_key: str | None, evict: Callable[[int], None]) -> None:
        self.session_key = session_key
        self.evict = evict
        self.seq = 0
        self.version = 0
        self.sync_after: int | None = None  # the viewer asked for a new snapshot, of what comes after this
        self._is_notified = False
        self._waiter: asyncio.Future[None] | None = None
        self.sent_count = 0  # messages that its socket was given
        self._counted = 0  # of them
        self.published_at_send: int | None = None  # characters, while its socket has not taken the last of them

    def notify(self) -> None:
        """Say that something is new."""
        self._is_notified = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> None:
        """Wait until something is new since this returned before.

        An `asyncio.Event` would do, and cost a seventh more of all that it takes to serve a viewer an event.
        """
        if not self._is_notified:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._is_notified = False

    def count_sent(self) -> int:
        """Return how many messages its socket was given since this was asked before, and add them to the metrics."""
        new, self._counted = self.sent_count - self._counted, self.sent_count
        metrics.EVENTS_SENT.inc(new)
        return new
