"""Failures of the recogniser process: it hangs, or its updates fail."""

import os
import signal

import pytest

from streaming.engines.base import EngineError
from streaming.engines.moonshine import engine, recogniser
from streaming.engines.moonshine.engine import Recogniser

RATE = 16_000


async def test_engine_fails_if_the_recogniser_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    held = await Recogniser.start()
    monkeypatch.setattr(engine, "ANSWER_TIMEOUT_SECONDS", 0.2)
    os.kill(held._process.pid, signal.SIGSTOP)
    try:
        with pytest.raises(EngineError, match="stopped answering") as failure:
            await held.begin(RATE)
        assert not failure.value.permanent
    finally:
        await held.aclose()


class EmptySegments:
    """A stream of the library whose updates fail, as they sometimes do on segments without speech."""

    def __init__(self, failures: int) -> None:
        self.left = failures

    def update_transcription(self) -> None:
        if self.left:
            self.left -= 1
            raise recogniser.MoonshineError("Failed to transcribe")


def test_recogniser_tolerates_a_failed_update_but_not_twenty_in_a_row() -> None:
    broken = recogniser.Recogniser.__new__(recogniser.Recogniser)
    broken.failures = 0
    broken.stream = EmptySegments(recogniser.FAILURES_IN_A_ROW - 1)  # type: ignore[assignment]
    for _ in range(recogniser.FAILURES_IN_A_ROW - 1):
        assert broken.update() == {"lines": [], "is_open": True}
    assert broken.update() == {"lines": [], "is_open": False}
    broken.stream = EmptySegments(recogniser.FAILURES_IN_A_ROW)  # type: ignore[assignment]
    with pytest.raises(recogniser.MoonshineError):
        for _ in range(recogniser.FAILURES_IN_A_ROW):
            broken.update()
