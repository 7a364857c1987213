"""Plays whole answers, which a test can change at any point."""

from typing import Any

from tests.interop.raw.peer import Peer, Play


async def transcribe(peer: Peer) -> None:
    """Play a whole answer without anything unusual."""
    await Answer()(peer)


async def nothing(peer: Peer) -> None:
    """Play nothing."""


class Answer:
    """Plays a whole answer, and calls the test's function at one of these points. `fields` change every result.

    `connected`: before the request · `requested`: before the answer's headers · `midway`: after five seconds of audio ·
    `last`: before the last final · `done`: between the last final and END_STREAM · `ended`: after END_STREAM.
    """

    POINTS = ("connected", "requested", "midway", "last", "done", "ended")

    def __init__(
        self, at: str = "", play: Play = nothing, end: Play | None = None, parts: int = 1, **fields: Any
    ) -> None:
        self._at, self._play = at, play
        self._end, self._parts, self._fields = end, parts, fields

    async def __call__(self, peer: Peer) -> None:
        if self._at != "connected":
            peer.settings()
        await self._reach("connected", peer)
        await peer.until_requested()
        await self._reach("requested", peer)
        peer.accept(parts=self._parts)
        seconds = 0.0
        while not peer.has_ended:
            seconds += 1.0
            await peer.until_audio(seconds)
            if not peer.has_ended:
                peer.tell(**self._fields)
                peer.tell_partial(**self._fields)
            if seconds == 5.0:
                await self._reach("midway", peer)
        await self._reach("last", peer)
        peer.tell(is_last=True, **self._fields)
        await self._reach("done", peer)
        if self._end is not None:
            await self._end(peer)
        else:
            peer.end()
        await self._reach("ended", peer)

    async def _reach(self, point: str, peer: Peer) -> None:
        if point == self._at:
            await self._play(peer)
