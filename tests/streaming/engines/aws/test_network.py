"""Network faults between a worker and the service: cut, half open, slow, byte by byte. No word is lost."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from streaming.engines.aws import connection, session
from streaming.results import Result
from tests.faults.proxy import Proxy
from tests.standin import Fault, Service
from tests.standin.recognition import Segment
from tests.streaming.conftest import PATIENCE_SECONDS
from tests.streaming.engines.aws.conftest import Transcribe, expected_words, spoken

Happen = Callable[[Proxy], None]
TranscribeThrough = Callable[[int, Happen], Awaitable[list[Result]]]


@pytest.fixture
async def proxy(service: Service, settings: Any) -> AsyncIterator[Proxy]:
    """The TCP proxy between the site and the service, in which a test causes faults."""
    port = urlsplit(service.url).port
    assert port is not None
    with Proxy(port) as proxy:
        settings.AWS_ENDPOINT_URL_TRANSCRIBE_STREAMING = f"https://localhost:{proxy.port}"
        yield proxy


@pytest.fixture
def transcribe_through(
    service: Service, proxy: Proxy, transcribe: Transcribe, monkeypatch: pytest.MonkeyPatch
) -> TranscribeThrough:
    """Transcribes a recording of numbers, and causes a network fault after five seconds of audio."""
    # Disable the other limits that would end a silent stream, so that only the tested one can.
    monkeypatch.setattr(session, "STUCK_SECONDS", 10_000.0)
    monkeypatch.setattr(session, "DRAIN_SECONDS", 10_000.0)
    monkeypatch.setattr(connection, "PING_SECONDS", 10_000.0)

    async def transcribe_through(count: int, happen: Happen) -> list[Result]:
        def look(segment: Segment) -> None:
            if segment.words[-1].end >= 5.0:
                service.on_segment = None
                happen(proxy)

        service.on_segment = look
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await transcribe(count)

    return transcribe_through


async def test_engine_notices_a_cut_connection_at_once(service: Service, transcribe_through: TranscribeThrough) -> None:
    assert spoken(await transcribe_through(30, Proxy.cut)) == expected_words(30)
    assert len(service.requests) == 2


async def test_engine_notices_an_answer_cut_within_a_frame_at_once(
    service: Service, transcribe_through: TranscribeThrough
) -> None:
    service.faults = [Fault("cut_in_frame", at=7.3)]
    assert spoken(await transcribe_through(30, lambda proxy: None)) == expected_words(30)
    assert len(service.requests) == 2


async def test_engine_notices_a_half_open_connection_by_its_silence(
    service: Service, transcribe_through: TranscribeThrough, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PING_SECONDS", 0.5)
    assert spoken(await transcribe_through(30, Proxy.lose)) == expected_words(30)
    assert len(service.requests) == 2


async def test_a_slow_network_applies_back_pressure_to_the_audio(
    service: Service, transcribe_through: TranscribeThrough, unsent_bytes: list[int]
) -> None:
    def slow(proxy: Proxy) -> None:
        proxy.bytes_a_second = 300_000  # half of the rate at which audio is sent

    assert spoken(await transcribe_through(80, slow)) == expected_words(80)
    assert len(service.requests) == 1
    assert max(unsent_bytes) < 2 * 32_000, "at most one second of audio and the current chunk may wait"


async def test_answers_that_arrive_byte_by_byte_lose_no_word(
    service: Service, transcribe_through: TranscribeThrough
) -> None:
    def crumble(proxy: Proxy) -> None:
        proxy.answer_bytes = 1

    assert spoken(await transcribe_through(120, crumble)) == expected_words(120)
    assert len(service.requests) == 1
