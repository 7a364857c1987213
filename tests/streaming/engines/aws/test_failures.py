"""Failures of the service and of the connection: the engine retries after transient ones without losing words."""

import asyncio
import gc
from itertools import chain
from pathlib import Path

import pytest

from streaming import backoff
from streaming.engines.aws import session
from streaming.engines.aws.engine import AwsEngine
from streaming.engines.base import Request
from streaming.engines.scripted import encode_number
from streaming.spool import Spool
from tests.standin import Fault, Service
from tests.streaming.conftest import PATIENCE_SECONDS, numbers
from tests.streaming.engines.aws.conftest import Point, Transcribe, expected_words, spoken, until_closed

PASSING = [
    "cut",
    "cut_in_frame",
    "close",
    "half_close",
    "reset",
    "goaway",
    "bad_checksum",
    "exception:InternalFailureException",
    "exception:ServiceUnavailableException",
    "exception:ConflictException",
    "exception:SerializationException",
    "exception:LimitExceededException",
]


@pytest.mark.parametrize("kind", PASSING)
async def test_engine_retries_after_a_failure_mid_stream_without_losing_words(
    service: Service, transcribe: Transcribe, kind: str
) -> None:
    service.faults = [Fault(kind, at=7.3)]
    assert spoken(await transcribe(30)) == expected_words(30)
    first, second = service.requests
    # The second stream began at the end of the last final, 6 s, with a new session id. A cut may overtake finals.
    assert second.numbers[0] in [(number, 0.0) for number in ((0, 4, 8, 12) if kind == "cut" else (12,))]
    assert first.session_id != second.session_id
    assert service.billed_seconds <= 15 + 15


LATE = [13.6, 14.1, 14.5, 14.7, 14.9, 15.0]


@pytest.mark.parametrize("at", LATE)
@pytest.mark.parametrize("kind", ["cut", "cut_in_frame", "close"])
async def test_engine_retries_after_a_failure_at_the_end_without_losing_words(
    service: Service, transcribe: Transcribe, kind: str, at: float
) -> None:
    service.faults = [Fault(kind, at=at)]
    assert spoken(await transcribe(30)) == expected_words(30)


@pytest.mark.parametrize("at", LATE)
async def test_service_that_ends_its_answer_early_loses_only_unannounced_words(
    service: Service, transcribe: Transcribe, at: float
) -> None:
    service.faults = [Fault("half_close", at=at)]
    heard = spoken(await transcribe(30))
    count = 30
    if [request.end for request in service.requests] == ["fault"]:
        # The service ended its answer while our end of the audio was on its way. The engine cannot detect that.
        count = max(24, len(heard))
    assert heard == expected_words(count)


async def test_engine_opens_another_stream_if_the_service_missed_the_end(
    service: Service, transcribe: Transcribe
) -> None:
    service.faults = [Fault("unread", at=14.0)]
    assert spoken(await transcribe(30)) == expected_words(30)
    assert [request.end for request in service.requests] == ["fault", "end_stream"]


async def test_engine_opens_only_one_more_stream_if_the_service_always_misses_the_end(
    service: Service, transcribe: Transcribe, tmp_path: Path
) -> None:
    service.faults = [Fault("unread", at=1000.0) for _ in range(10)]
    path = numbers(tmp_path / "then-silence.wav", 9, silent_seconds=3)
    assert spoken(await transcribe(path=path)) == expected_words(9)
    assert [request.end for request in service.requests] == ["end_stream"] * 2


async def test_engine_opens_another_stream_if_the_service_reads_no_audio(
    service: Service, transcribe: Transcribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "DRAIN_SECONDS", 0.3)
    service.faults = [Fault("pause", at=0.0, seconds=10_000.0)]
    assert spoken(await transcribe(60)) == expected_words(60)


async def test_engine_fails_if_the_service_stops_accepting_audio(
    service: Service, transcribe: Transcribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "STUCK_SECONDS", 10.0)
    service.faults = [Fault("no_window", at=3.0)]
    assert spoken(await transcribe(60)) == expected_words(60)


@pytest.mark.parametrize("payload", ["[]", "null", "{", ""])
async def test_engine_retries_after_a_transcript_that_is_not_json(
    service: Service, transcribe: Transcribe, payload: str
) -> None:
    service.faults = [Fault("payload", at=5.0, message=payload)]
    assert spoken(await transcribe(20)) == expected_words(20)
    assert len(service.requests) == 2


@pytest.mark.parametrize(
    "payload",
    [
        "{}",
        '{"Transcript":{}}',
        '{"Transcript":null}',
        '{"Transcript":{"Results":null}}',
        '{"Transcript":{"Results":[null, 7]}}',
        '{"Transcript":{"Results":[{"ResultId":"x","StartTime":0.0,"EndTime":1.0,"IsPartial":false}]}}',
        '{"Transcript":{"Results":[{"ResultId":"x","StartTime":NaN,"EndTime":1.0,"Alternatives":[{}]}]}}',
    ],
)
async def test_an_event_without_words_does_not_end_the_stream(
    service: Service, transcribe: Transcribe, payload: str
) -> None:
    service.faults = [Fault("payload", at=5.0, message=payload)]
    assert spoken(await transcribe(20)) == expected_words(20)
    assert len(service.requests) == 1


async def test_engine_loses_no_word_after_three_failures_in_a_row(service: Service, transcribe: Transcribe) -> None:
    service.faults = [Fault("cut", at=5.0), Fault("close", at=0.0), Fault("exception:InternalFailureException", at=1.0)]
    assert spoken(await transcribe(30)) == expected_words(30)
    assert len(service.requests) == 4


@pytest.mark.parametrize("kind", ["hang_start", "hang_connect"])
async def test_engine_retries_after_a_start_that_hangs(
    service: Service, transcribe: Transcribe, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(session, "START_SECONDS", 0.5)
    service.faults = [Fault(kind)]
    assert spoken(await transcribe(10)) == expected_words(10)


async def test_engine_retries_if_the_service_no_longer_answers_a_ping(
    service: Service, transcribe: Transcribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.engines.aws.connection.PING_SECONDS", 0.5)
    service.faults = [Fault("hang", at=3.0)]
    assert spoken(await transcribe(30)) == expected_words(30)


async def test_engine_fails_if_the_service_accepts_audio_and_sends_no_results(
    service: Service, transcribe: Transcribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.faults = [Fault("pause", at=3.0, seconds=1000.0)]
    assert spoken(await transcribe(120)) == expected_words(120)
    first, _ = service.requests
    assert 30.0 < first.audio_seconds < 60.0, "the engine waits for 30 s of audio while partials are open"


async def test_engine_retries_after_a_transient_refusal(service: Service, transcribe: Transcribe) -> None:
    kinds = (
        "ThrottlingException",
        "InternalFailureException",
        "ServiceUnavailableException",
        "ConflictException",
        "SerializationException",
    )
    service.faults = [Fault(f"refuse:{kind}") for kind in kinds]
    assert spoken(await transcribe(10)) == expected_words(10)


@pytest.mark.parametrize(
    "message",
    [
        "Your request timed out because no new audio was received for 15 seconds.",
        "Signature expired: 20261122T120000Z is now earlier than 20261122T120001Z (20261122T120501Z - 5 min.)",
    ],
    ids=["idle", "stale"],
)
async def test_engine_sends_audio_again_after_the_service_timed_out_for_it(
    service: Service, transcribe: Transcribe, message: str
) -> None:
    service.faults = [Fault("exception:BadRequestException", at=4.0, message=message)]
    assert spoken(await transcribe(20)) == expected_words(20)


def test_retry_delays_grow_to_half_a_minute_and_vary() -> None:
    drawn = [[backoff.pause_seconds(failures, 0.5) for _ in range(50)] for failures in range(11)]
    assert all(0.5 <= pause <= 0.75 for pause in drawn[0])
    assert all(2.0 <= pause <= 3.0 for pause in drawn[2])
    assert max(drawn[-1]) == 30.0
    assert len(set(drawn[2])) > 40


async def test_closing_the_generator_closes_the_stream(service: Service, transcribe: Transcribe) -> None:
    job = asyncio.create_task(transcribe(200))
    while not service.requests or service.requests[0].audio_seconds < 3:
        await asyncio.sleep(0.01)
    job.cancel()
    await asyncio.wait({job})
    await until_closed(service)
    assert (service.requests[0].end, len(service.requests)) == ("left", 1)


async def test_cancelling_before_the_service_answers_leaves_no_stream(point: Point, transcribe: Transcribe) -> None:
    async with Service(rate=2.0) as service:  # slow, so that the service does not time the stream out itself
        point(service)
        service.faults = [Fault("hang_start")]
        job = asyncio.create_task(transcribe(20))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not service.requests:
                await asyncio.sleep(0.01)
        job.cancel()
        await asyncio.wait({job})
        await until_closed(service)
        assert service.requests[0].end == "left"
        assert spoken(await transcribe(4)) == expected_words(4), "the next stream works"


# If asyncio tries several addresses (`staggered_race`), it drops a socket that connects exactly at the cancellation.
# Python then closes the socket with a ResourceWarning. The test checks that the service sees all connections closed.
@pytest.mark.filterwarnings("ignore:.*<socket:pytest.PytestUnraisableExceptionWarning")
async def test_cancelling_during_the_start_leaves_no_stream(service: Service, tmp_path: Path) -> None:
    """Cancels after each number of milliseconds, from before the connection until after the first audio."""
    spool = Spool(tmp_path / "decoded.pcm", 16_000, 1)
    spool.path.write_bytes(b"".join(encode_number(number).tobytes() for number in range(40)))
    spool.samples, spool.is_complete = 20 * 16_000, True

    async def hear() -> None:
        async for _ in AwsEngine().transcribe(spool, Request("en-US")):
            pass

    opened = 0
    for milliseconds in chain(range(80), range(80, 10_000, 20)):
        job = asyncio.create_task(hear())
        await asyncio.sleep(milliseconds / 1000)
        opened += service.streams
        job.cancel()
        await asyncio.wait({job})
        await until_closed(service)
        if milliseconds >= 79 and opened:
            break
    assert {request.end for request in service.requests} == {"left"}
    assert 0 < opened <= milliseconds, "some were cancelled before the stream was open, and some after"
    gc.collect()  # collect dropped sockets, which are in reference cycles
