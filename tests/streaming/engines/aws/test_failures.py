"""What goes wrong between us and the service: what passes is gone through without a lost word, and the rest is said."""

import asyncio
import gc
from itertools import chain
from pathlib import Path

import pytest

from streaming import backoff
from streaming.engines.aws import session
from streaming.engines.aws.engine import AwsEngine
from streaming.engines.base import Request
from streaming.engines.scripted import say
from streaming.spool import Spool
from tests.standin import Fault, Service
from tests.streaming.conftest import PATIENCE_SECONDS, numbers
from tests.streaming.engines.aws.conftest import Hear, Point, said, spoken, until_closed

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
async def test_what_breaks_off_in_the_middle_costs_no_word(service: Service, listen: Hear, kind: str) -> None:
    service.faults = [Fault(kind, at=7.3)]
    assert spoken(await listen(30)) == said(30)
    first, second = service.requests
    # It went on at the end of the last final, 6 s, in a session of its own. A cut may overtake finals.
    assert second.numbers[0] in [(number, 0.0) for number in ((0, 4, 8, 12) if kind == "cut" else (12,))]
    assert first.session_id != second.session_id
    assert service.billed_seconds <= 15 + 15


LATE = [13.6, 14.1, 14.5, 14.7, 14.9, 15.0]


@pytest.mark.parametrize("at", LATE)
@pytest.mark.parametrize("kind", ["cut", "cut_in_frame", "close"])
async def test_what_breaks_off_at_the_end_costs_no_word(service: Service, listen: Hear, kind: str, at: float) -> None:
    service.faults = [Fault(kind, at=at)]
    assert spoken(await listen(30)) == said(30)


@pytest.mark.parametrize("at", LATE)
async def test_a_clean_end_near_ours_costs_no_word_that_could_be_known_of(
    service: Service, listen: Hear, at: float
) -> None:
    service.faults = [Fault("half_close", at=at)]
    heard = spoken(await listen(30))
    count = 30
    if [request.end for request in service.requests] == ["fault"]:
        # Our end was on its way to the service, which ended without a word of it: to us that looks like a good end.
        count = max(24, len(heard))
    assert heard == said(count)


async def test_a_service_that_says_that_it_missed_the_end_is_asked_again(service: Service, listen: Hear) -> None:
    service.faults = [Fault("unread", at=14.0)]
    assert spoken(await listen(30)) == said(30)
    assert [request.end for request in service.requests] == ["fault", "end_stream"]


async def test_a_service_that_always_says_so_is_asked_once_more_and_no_more(
    service: Service, listen: Hear, tmp_path: Path
) -> None:
    service.faults = [Fault("unread", at=1000.0) for _ in range(10)]
    path = numbers(tmp_path / "then-silence.wav", 9, silent_seconds=3)
    assert spoken(await listen(path=path)) == said(9)
    assert [request.end for request in service.requests] == ["end_stream"] * 2


async def test_a_service_that_hears_nothing_at_all_is_asked_again(
    service: Service, listen: Hear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "DRAIN_SECONDS", 0.3)
    service.faults = [Fault("pause", at=0.0, seconds=10_000.0)]
    assert spoken(await listen(60)) == said(60)


async def test_a_service_that_lets_no_more_sound_in_is_given_up(
    service: Service, listen: Hear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "STUCK_SECONDS", 10.0)
    service.faults = [Fault("no_window", at=3.0)]
    assert spoken(await listen(60)) == said(60)


@pytest.mark.parametrize("payload", ["[]", "null", "{", ""])
async def test_a_transcript_that_is_not_json_is_requested_again(service: Service, listen: Hear, payload: str) -> None:
    service.faults = [Fault("payload", at=5.0, message=payload)]
    assert spoken(await listen(20)) == said(20)
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
async def test_an_event_without_words_does_not_end_the_stream(service: Service, listen: Hear, payload: str) -> None:
    service.faults = [Fault("payload", at=5.0, message=payload)]
    assert spoken(await listen(20)) == said(20)
    assert len(service.requests) == 1


async def test_three_failures_in_a_row_cost_no_word(service: Service, listen: Hear) -> None:
    service.faults = [Fault("cut", at=5.0), Fault("close", at=0.0), Fault("exception:InternalFailureException", at=1.0)]
    assert spoken(await listen(30)) == said(30)
    assert len(service.requests) == 4


@pytest.mark.parametrize("kind", ["hang_start", "hang_connect"])
async def test_a_start_that_hangs_is_given_up_and_tried_again(
    service: Service, listen: Hear, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(session, "START_SECONDS", 0.5)
    service.faults = [Fault(kind)]
    assert spoken(await listen(10)) == said(10)


async def test_a_service_that_no_longer_answers_is_noticed(
    service: Service, listen: Hear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.engines.aws.connection.PING_SECONDS", 0.5)
    service.faults = [Fault("hang", at=3.0)]
    assert spoken(await listen(30)) == said(30)


async def test_a_service_that_hears_and_does_not_answer_is_given_up(
    service: Service, listen: Hear, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.faults = [Fault("pause", at=3.0, seconds=1000.0)]
    assert spoken(await listen(120)) == said(120)
    first, _ = service.requests
    assert 30.0 < first.audio_seconds < 60.0, "after half a minute of sound with words still open"


async def test_a_refusal_that_passes_is_tried_again(service: Service, listen: Hear) -> None:
    kinds = (
        "ThrottlingException",
        "InternalFailureException",
        "ServiceUnavailableException",
        "ConflictException",
        "SerializationException",
    )
    service.faults = [Fault(f"refuse:{kind}") for kind in kinds]
    assert spoken(await listen(10)) == said(10)


@pytest.mark.parametrize(
    "message",
    [
        "Your request timed out because no new audio was received for 15 seconds.",
        "Signature expired: 20261122T120000Z is now earlier than 20261122T120001Z (20261122T120501Z - 5 min.)",
    ],
    ids=["idle", "stale"],
)
async def test_sound_that_came_too_late_is_sent_again(service: Service, listen: Hear, message: str) -> None:
    service.faults = [Fault("exception:BadRequestException", at=4.0, message=message)]
    assert spoken(await listen(20)) == said(20)


def test_pauses_grow_to_half_a_minute_and_are_never_the_same() -> None:
    drawn = [[backoff.pause_seconds(failures, 0.5) for _ in range(50)] for failures in range(11)]
    assert all(0.5 <= pause <= 0.75 for pause in drawn[0])
    assert all(2.0 <= pause <= 3.0 for pause in drawn[2])
    assert max(drawn[-1]) == 30.0
    assert len(set(drawn[2])) > 40


async def test_a_stream_that_nobody_wants_any_more_is_closed(service: Service, listen: Hear) -> None:
    job = asyncio.create_task(listen(200))
    while not service.requests or service.requests[0].audio_seconds < 3:
        await asyncio.sleep(0.01)
    job.cancel()
    await asyncio.wait({job})
    await until_closed(service)
    assert (service.requests[0].end, len(service.requests)) == ("left", 1)


async def test_a_stop_while_the_service_has_not_answered_leaves_no_stream(point: Point, listen: Hear) -> None:
    async with Service(rate=2.0) as service:  # slow, so that it does not give the stream up itself
        point(service)
        service.faults = [Fault("hang_start")]
        job = asyncio.create_task(listen(20))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not service.requests:
                await asyncio.sleep(0.01)
        job.cancel()
        await asyncio.wait({job})
        await until_closed(service)
        assert service.requests[0].end == "left"
        assert spoken(await listen(4)) == said(4), "and the next one is heard"


# asyncio drops a socket whose connection is made at the very moment of the cancellation, if it tries several addresses
# (`staggered_race`); Python closes the socket then, with a warning. The service below must see all connections closed.
@pytest.mark.filterwarnings("ignore:.*<socket:pytest.PytestUnraisableExceptionWarning")
async def test_a_stop_that_races_a_start_leaves_no_stream(service: Service, tmp_path: Path) -> None:
    """Stopped after each millisecond, from before the connection to after the first sound, however late that is."""
    spool = Spool(tmp_path / "decoded.pcm", 16_000, 1)
    spool.path.write_bytes(b"".join(say(number).tobytes() for number in range(40)))
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
    assert 0 < opened <= milliseconds, "some were stopped before there was a stream, and some after"
    gc.collect()  # dropped sockets are in reference cycles
