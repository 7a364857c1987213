"""A subscriber: the position of one viewer in a feed, and the signal that the feed has new events.

The feed advances the position and notifies the subscriber. The viewer's consumer waits for the notification.
"""

import asyncio
from collections.abc import Callable

from streaming import metrics


class Subscriber:
    """One viewer of a feed.

    `seq` is the number of the last final that was sent to the viewer, `version` the version of the feed's partials and
    status that was sent last. `session_key` identifies the session for access checks. `evict` closes the viewer's
    socket with a close code; it may be called more than once.
    """

    def __init__(self, session_key: str | None, evict: Callable[[int], None]) -> None:
        self.session_key = session_key
        self.evict = evict
        self.seq = 0
        self.version = 0
        self.sync_after: int | None = None  # the viewer asked for a new snapshot of the finals after this number
        self._is_notified = False
        self._waiter: asyncio.Future[None] | None = None
        self.sent_count = 0  # messages that were passed to the socket
        self._counted = 0  # those of them that are already in the metrics
        # While a message is being sent: the feed's `published_characters` when that started; else None.
        self.published_at_send: int | None = None

    def notify(self) -> None:
        """Wake the consumer because the feed has new events. Returns at once."""
        self._is_notified = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> None:
        """Wait until `notify` was called since this method last returned. One task at a time may wait.

        A bare future instead of an `asyncio.Event`: an event would add a seventh to the CPU time of a delivery.
        """
        if not self._is_notified:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._is_notified = False

    def count_sent(self) -> int:
        """Return the number of messages sent since the previous call, and add it to the metrics."""
        new, self._counted = self.sent_count - self._counted, self.sent_count
        metrics.EVENTS_SENT.inc(new)
        return new
