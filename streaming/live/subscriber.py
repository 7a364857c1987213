"""A viewer's place in a feed: the feed moves it and says when there is more, the consumer waits for that."""

import asyncio
from collections.abc import Callable

from streaming import metrics


class Cursor:
    """How far one viewer has come: the last final and the version of the register that it was sent.

    `session_key` says whose it is; `send_away` is called with the code to close with, perhaps more than once.
    """

    def __init__(self, session_key: str | None, send_away: Callable[[int], None]) -> None:
        self.session_key = session_key
        self.send_away = send_away
        self.seq = 0
        self.version = 0
        self.sync_after: int | None = None  # the viewer asked for a new snapshot, of what comes after this
        self._has_news = False
        self._waiting: asyncio.Future[None] | None = None
        self.sent_count = 0  # messages that its socket was given
        self._counted = 0  # of them
        self.published_at_send: int | None = None  # characters, while its socket has not taken the last of them

    def ring(self) -> None:
        """Say that something is new."""
        self._has_news = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def news(self) -> None:
        """Wait until something is new since this returned before.

        An `asyncio.Event` would do, and cost a seventh more of all that it takes to serve a viewer an event.
        """
        if not self._has_news:
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        self._has_news = False

    def count_sent(self) -> int:
        """Return how many messages its socket was given since this was asked before, and add them to the metrics."""
        new, self._counted = self.sent_count - self._counted, self.sent_count
        metrics.EVENTS_SENT.inc(new)
        return new
