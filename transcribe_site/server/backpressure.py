"""Back-pressure for daphne's requests and sockets: the application waits while a slow client has not read enough."""

import asyncio


class Flow:
    """A connection that registers with its transport as producer.

    The transport calls `pauseProducing` when its buffer of unread data is full, and `resumeProducing` when it has room.
    """

    _has_producer = False
    _has_room: asyncio.Event

    @property
    def has_room(self) -> bool:
        """Whether the transport's buffer has room for more."""
        self._watch_flow()
        return self._has_room.is_set()

    async def drained(self) -> None:
        """Wait until the buffer has room. Returns at once if the connection has ended."""
        if not self.has_room:
            await self._has_room.wait()

    def _watch_flow(self) -> None:
        if not self._has_producer:
            self._has_room = asyncio.Event()
            self._has_room.set()
            self._has_producer = True
            self.begin_flow()

    def begin_flow(self) -> None:
        self.registerProducer(self, True)  # type: ignore[attr-defined]

    def pauseProducing(self) -> None:
        self._has_room.clear()

    def resumeProducing(self) -> None:
        self._has_room.set()

    def stopProducing(self) -> None:
        self._has_room.set()

    def end_flow(self) -> None:
        """Wake the waiting application and unregister the producer, because the connection ends."""
        if self._has_producer:
            self._has_producer = False
            self._has_room.set()
            self.unregisterProducer()  # type: ignore[attr-defined]
