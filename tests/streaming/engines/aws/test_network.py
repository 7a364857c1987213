"""The network between a worker and the service: cut, half open, slow, and byte by byte, and no word is lost."""

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
from tests.streaming.engines.aws.conftest import Hear, said, spoken

Happen = Callable[[Proxy], None]
HearThrough = Callable[[int, Happen], Awaitable[list[Result]]]


@pytest.fixture
async def proxy(service: Service, settings: Any) -> AsyncIterator[Proxy]:
    """What is between the site and the service."""
    port = urlsplit(service.url).port
    assert port is not None
    with Proxy(port) as proxy:
        settings.AWS_ENDPOINT_URL_TRANSCRIBE_STREAMING = f"https://localhost:{proxy.port}"
        yield proxy


@pytest.fixture
def hear_through(service: Service, proxy: Proxy, listen: Hear, monkeypatch: pytest.MonkeyPatch) -> HearThrough:
    """Hears so many numbers; when five seconds of sound were heard something happens to the network."""
    # What gives a silent service up in the end, and a silent connection: none of it may be what notices.
    monkeypatch.setattr(session, "STUCK_SECONDS", 10_000.0)
    monkeypatch.setattr(session, "DRAIN_SECONDS", 10_000.0)
    monkeypatch.setattr(connection, "PING_SECONDS", 10_000.0)

    async def hear(count: int, happen: Happen) -> list[Result]:
        def look(segment: Segment) -> None:
            if segment.words[-1].end >= 5.0:
                service.on_segment = None
                happen(proxy)

        service.on_segment = look
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await listen(count)

    return hear


async def test_a_connection_that_is_cut_is_noticed_at_once(service: Service, hear_through: HearThrough) -> None:
    assert spoken(await hear_through(30, Proxy.cut)) == said(30)
    assert len(service.requests) == 2


async def test_an_answer_that_is_cut_within_a_frame_is_noticed_at_once(
    service: Service, hear_through: HearThrough
) -> None:
    service.faults = [Fault("cut_in_frame", at=7.3)]
    assert spoken(await hear_through(30, lambda proxy: None)) == said(30)
    assert len(service.requests) == 2


async def test_a_connection_that_is_half_open_is_noticed_by_its_silence(
    service: Service, hear_through: HearThrough, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PING_SECONDS", 0.5)
    assert spoken(await hear_through(30, Proxy.lose)) == said(30)
    assert len(service.requests) == 2


async def test_a_slow_network_holds_the_sound_back(
    service: Service, hear_through: HearThrough, monkeypatch: pytest.MonkeyPatch
) -> None:
    unsent: list[int] = []
    send = session.Stream.send

    async def watched(self: session.Stream, chunk: bytes, most: int, seconds: float) -> None:
        await send(self, chunk, most, seconds)
        unsent.append(self._connection.unsent_bytes)

    def slow(proxy: Proxy) -> None:
        proxy.bytes_a_second = 300_000  # half of what is sent at this pace

    monkeypatch.setattr(session.Stream, "send", watched)
    assert spoken(await hear_through(80, slow)) == said(80)
    assert len(service.requests) == 1
    assert max(unsent) < 2 * 32_000, "one second, and the chunk that is being sent"


async def test_answers_that_come_byte_by_byte_are_heard_as_any_other(
    service: Service, hear_through: HearThrough
) -> None:
    def crumble(proxy: Proxy) -> None:
        proxy.answer_bytes = 1

    assert spoken(await hear_through(120, crumble)) == said(120)
    assert len(service.requests) == 1
