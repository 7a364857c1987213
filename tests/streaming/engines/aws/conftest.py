"""Fixtures: the stand-in of Amazon's service, settings that point the site at it, and helpers to read results."""

import asyncio
import re
import wave
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streaming.engines.aws import session
from streaming.engines.aws.engine import AwsEngine
from streaming.engines.base import Request
from streaming.engines.scripted import encode_number
from streaming.results import Result
from streaming.spool import open_spool_of_file
from streaming.worker import retry
from streaming.worker.retry import transcribe_with_retries
from tests.decoding import decode_at_once
from tests.standin import Record, Service
from tests.streaming.conftest import PATIENCE_SECONDS, numbers

RATE = 20.0  # how many times faster than real time the service's clock runs
WORD_SECONDS = 0.5
SOUNDING = 0.64  # of speech per half second of a recording of numbers; the rest is silence
# Options that detect one language, and several.
IDENTIFIED = {"identify_language": True, "language_options": ["en-US", "de-DE"]}
SEVERAL = {"identify_multiple_languages": True, "language_options": ["en-US", "de-DE"]}

Point = Callable[[Service], None]
Transcribe = Callable[..., Awaitable[list[Result]]]


@pytest.fixture(autouse=True)
def decoded_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    decode_at_once(monkeypatch)


@pytest.fixture
def point(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Point:
    """Points the site at a service with its pace, and makes retries immediate."""

    def point(service: Service) -> None:
        for name, value in service.environ.items():
            monkeypatch.setenv(name, value)
            setattr(settings, name, value)
        settings.TRANSCRIBE_AWS_PACE = service.rate
        settings.TRANSCRIBE_ENGINES = ["local", "scripted", "aws"]
        monkeypatch.setattr(retry, "FIRST_PAUSE_SECONDS", 0.01)

    return point


@pytest.fixture
async def service(point: Point) -> AsyncIterator[Service]:
    async with Service(rate=RATE) as service:
        point(service)
        yield service


@pytest.fixture
def transcribe(tmp_path: Path) -> Transcribe:
    """Transcribes a recording of so many numbers, or the one at `path`, with the engine. Returns all results."""

    async def transcribe(
        count: int = 20, request: Request | None = None, path: Path | None = None, sample_rate: int = 16_000
    ) -> list[Result]:
        path = path or numbers(tmp_path / f"{count}.wav", count, sample_rate=sample_rate)
        request = request or Request("en-US")
        async with open_spool_of_file(path, sample_rate, tmp_path, AwsEngine.channels(request.options)) as spool:
            return [result async for result in transcribe_with_retries(AwsEngine(), spool, request)]

    return transcribe


@pytest.fixture
def unsent_bytes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of bytes that waited in the connection after each chunk of audio was sent."""
    unsent, send = [], session.Stream.send

    async def send_and_note(self: session.Stream, chunk: bytes, most: int, seconds: float) -> None:
        await send(self, chunk, most, seconds)
        unsent.append(self._connection.unsent_bytes)

    monkeypatch.setattr(session.Stream, "send", send_and_note)
    return unsent


async def until_closed(service: Service) -> None:
    """Wait until no stream is open. The service may have timed it out; its record says which side closed it."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while service.streams:
            await asyncio.sleep(0.01)


def finals(results: Iterable[Result]) -> list[Result]:
    return [result for result in results if not result.is_partial]


def spoken(results: Iterable[Result], slot: str = "0") -> list[tuple[int, float]]:
    """Return the numbers in the finals of a slot, each with its time in the recording."""
    words = [word for result in finals(results) if result.slot == slot for word in result.words]
    return [(int(re.sub(r"\D", "", word.text)), round(word.start_time, 2)) for word in words]


def expected_words(count: int, first: int = 0) -> list[tuple[int, float]]:
    """Return the expected value of `spoken`: each number once, at its time."""
    return [(number, number * WORD_SECONDS) for number in range(first, first + count)]


def sent_seconds(record: Record) -> float:
    """Return how many seconds of a recording of numbers were sent, without silence that the engine inserted."""
    return round((record.audio_seconds - record.silent_seconds) / SOUNDING, 2)


def two_channels(path: Path, count: int) -> Path:
    """Write a stereo recording with numbers from 0 on one channel and from 100 on the other."""
    sides = [np.concatenate([encode_number(number) for number in range(first, first + count)]) for first in (0, 100)]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.stack(sides, axis=1).astype("<i2").tobytes())
    return path
