"""How an application waits for a client that reads slowly: what daphne's requests and sockets have in common."""

import asyncio


class Flow:
    """A connection that an application waits for: what the client has not read yet is in the transport's buffer, and
    the transport says when that is full.
    """

    _has_producer = False
    _has_room: asyncio.Event

    @property
    def has_room(self) -> bool:
        """Whether the client has read enough, as far as the transport knows."""
        self._watch_flow()
        return self._has_room.is_set()

    async def drained(self) -> None:
        """Wait until the client has read enough. Returns at once if it is gone."""
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

    def let_go(self) -> None:
        """Let nobody wait any longer: the connection ends."""
        if self._has_producer:
            self._has_producer = False
            self._has_room.set()
            self.unregisterProducer()  # type: ignore[attr-defined]
