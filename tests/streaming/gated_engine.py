"""The scripted engine on a lead: a test says how far it hears, and what is looked at stands for as long as it looks."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import pytest

from streaming.engines.base import Request
from streaming.engines.scripted import ScriptedEngine
from streaming.results import Result
from streaming.spool import Spool

LetHear = Callable[[int], None]
ALL = 10_000  # more words than any recording here says


def hold(monkeypatch: pytest.MonkeyPatch) -> LetHear:
    """Hold the engine in this process; return what lets it hear more words, each a result, each fourth a final."""
    allowed = asyncio.Semaphore(0)
    transcribe = ScriptedEngine.transcribe

    async def held(self: ScriptedEngine, audio: Spool, request: Request) -> AsyncGenerator[Result, None]:
        async with aclosing(transcribe(self, audio, request)) as results:
            async for result in results:
                await allowed.acquire()
                yield result

    def let_hear(count: int) -> None:
        for _ in range(count):
            allowed.release()

    monkeypatch.setattr(ScriptedEngine, "transcribe", held)
    return let_hear
