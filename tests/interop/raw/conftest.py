"""Fixtures: the engine, pointed at the raw server, and a recording of numbers."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from streaming.engines.aws import session
from streaming.engines.aws.engine import AwsEngine
from streaming.engines.base import Request
from streaming.results import Result
from streaming.spool import open_spool_of_file
from streaming.worker import retry
from streaming.worker.retry import transcribe_with_retries
from tests.decoding import decode_at_once
from tests.interop.raw.server import RawServer
from tests.recordings import numbers

PACE = 50.0
COUNT = 30  # words, half a second each

Transcribe = Callable[..., Awaitable[list[Result]]]
Point = Callable[..., None]


@pytest.fixture(autouse=True)
def decoded_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    decode_at_once(monkeypatch)


@pytest.fixture
def point(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Point:
    """Points the engine at a server, without its proxies, and retries at once."""

    def point(server: RawServer, host: str = "localhost") -> None:
        settings.AWS_REGION = "eu-west-1"
        settings.AWS_ENDPOINT_URL_TRANSCRIBE_STREAMING = f"https://{host}:{server.port}"
        settings.AWS_CA_BUNDLE = server.ca_file
        settings.TRANSCRIBE_AWS_PACE = PACE
        settings.TRANSCRIBE_ENGINES = ["aws"]
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
        monkeypatch.setattr(retry, "FIRST_PAUSE_SECONDS", 0.01)
        # Limits in seconds of audio, which are short in real time at this pace. These tests do not concern them.
        monkeypatch.setattr(session, "STUCK_SECONDS", 10_000.0)

    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return point


@pytest.fixture
def transcribed(tmp_path: Path) -> Transcribe:
    """Transcribes a recording of numbers with the engine and its retries. Returns all results."""

    async def transcribed(**options: Any) -> list[Result]:
        path = numbers(tmp_path / "numbers.wav", COUNT)
        async with open_spool_of_file(path, 16_000, tmp_path) as spool:
            return [result async for result in transcribe_with_retries(AwsEngine(), spool, Request("en-US", options))]

    return transcribed


def lines(results: list[Result]) -> list[tuple[str, float]]:
    """Return the words of the finals, each with its time in the recording."""
    return [(word.text, word.start_time) for result in results if not result.is_partial for word in result.words]


ALL = [(f"w{number}", number * 0.5) for number in range(COUNT)]
