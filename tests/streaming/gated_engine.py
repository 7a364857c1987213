"""The scripted engine behind a gate: a test controls how many words it yields, so the state holds still for checks."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import pytest

from streaming.engines.base import Request
from streaming.engines.scripted import ScriptedEngine
from streaming.results import Result
from streaming.spool import Spool

AllowWords = Callable[[int], None]
ALL = 10_000  # more words than any recording of the tests has


def hold(monkeypatch: pytest.MonkeyPatch) -> AllowWords:
    """Gate the engine in this process. Returns a function that allows it to yield more results.

    Each result adds a word; every fourth one is a final.
    """
    allowed = asyncio.Semaphore(0)
    transcribe = ScriptedEngine.transcribe

    async def held(self: ScriptedEngine, audio: Spool, request: Request) -> AsyncGenerator[Result, None]:
        async with aclosing(transcribe(self, audio, request)) as results:
            async for result in results:
                await allowed.acquire()
                yield result

    def allow_words(count: int) -> None:
        for _ in range(count):
            allowed.release()

    monkeypatch.setattr(ScriptedEngine, "transcribe", held)
    return allow_words
