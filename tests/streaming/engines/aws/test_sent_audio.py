"""The audio that Amazon's engine sends: its chunks, its pace, silence for late audio, and back-pressure."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from streaming.engines.aws import session
from streaming.engines.aws.engine import AwsEngine
from streaming.engines.aws.results import Timeline
from streaming.engines.base import Request
from streaming.engines.scripted import encode_number
from streaming.spool import Spool
from streaming.worker.retry import transcribe_with_retries
from tests.standin import Fault, Service
from tests.streaming.engines.aws.conftest import RATE, Transcribe, expected_words, sent_seconds, spoken


async def test_audio_is_sent_in_chunks_of_100_ms_at_the_declared_rate(service: Service, transcribe: Transcribe) -> None:
    await transcribe(4)
    assert spoken(await transcribe(4, sample_rate=8_000)) == expected_words(4)
    wide, narrow = service.requests
    assert (wide.headers["x-amzn-transcribe-sample-rate"], wide.largest_chunk_bytes) == ("16000", 3200)
    assert wide.chunks == round(wide.audio_seconds * 10)
    assert sent_seconds(wide) == 2.0
    assert (narrow.headers["x-amzn-transcribe-sample-rate"], narrow.largest_chunk_bytes) == ("8000", 1600)


async def test_a_mono_stream_declares_no_number_of_channels(service: Service, transcribe: Transcribe) -> None:
    await transcribe(4)
    assert "x-amzn-transcribe-number-of-channels" not in service.requests[0].headers


async def test_audio_is_sent_in_real_time(service: Service, transcribe: Transcribe) -> None:
    began = time.monotonic()
    await transcribe(40)
    assert 20 / RATE <= time.monotonic() - began < 20, "the pace applies to the service's clock and not to real time"


async def test_engine_sends_silence_for_late_audio_and_times_stay_correct(service: Service, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "slow.pcm", 16_000, 1)
    recording = b"".join(encode_number(number).tobytes() for number in range(12))
    half = len(recording) // 2

    async def decode_slowly() -> None:
        spool.path.write_bytes(recording)
        await spool._grow(half // 2, is_complete=False)
        await asyncio.sleep(40 / RATE)  # on the service's clock; it ends a stream after 15 s without audio
        await spool._grow(half, is_complete=True)

    spool.path.touch()
    decoding = asyncio.create_task(decode_slowly())
    results = [result async for result in transcribe_with_retries(AwsEngine(), spool, Request("en-US"))]
    await decoding
    assert spoken(results) == expected_words(12)
    (request,) = service.requests
    assert request.audio_seconds > 6.0, "the engine has sent silence"
    assert request.exception == ""


async def test_a_service_that_reads_nothing_applies_back_pressure(
    service: Service, transcribe: Transcribe, unsent_bytes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.engines.aws.connection.PING_SECONDS", 1.0)
    service.faults = [Fault("hang", at=1.0)]
    assert spoken(await transcribe(200)) == expected_words(200)
    assert max(unsent_bytes) < 2 * 32_000, "at most one second of audio and the current chunk may wait"
    assert len(service.requests) == 2


async def test_audio_is_never_sent_more_than_a_second_early(
    service: Service, transcribe: Transcribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    began: list[float] = []
    sent: list[tuple[float, float]] = []
    send, add = session.Session._send, Timeline.add

    async def begin(self: session.Session, *arguments: Any) -> None:
        began.append(time.monotonic())
        await send(self, *arguments)

    def watched(self: Timeline, seconds: float) -> None:
        add(self, seconds)
        sent.append((time.monotonic(), self.sent_seconds))

    monkeypatch.setattr(session.Session, "_send", begin)
    monkeypatch.setattr(Timeline, "add", watched)
    await transcribe(60)
    assert max(seconds - (moment - began[0]) * RATE for moment, seconds in sent) <= 1.0


async def test_a_setting_changes_the_pace(service: Service, transcribe: Transcribe, settings: Any) -> None:
    settings.TRANSCRIBE_AWS_PACE = RATE / 2
    began = time.monotonic()
    await transcribe(20)
    assert time.monotonic() - began >= 9.6 / (RATE / 2), "the last 0.4 s are sent together"
