"""What goes wrong between us and the service: what passes is gone through without a lost word, and the rest is said."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from streaming import pauses
from streaming.audio import Spool
from streaming.engines import aws_session
from streaming.engines.aws import AwsEngine
from streaming.engines.base import EngineBusy, EngineError, Request
from streaming.engines.scripted import say
from tests.standin import Fault, Key, Service
from tests.streaming.aws.conftest import Hear, Point, said, spoken

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
    # It went on at the end of the last final, 6 s, in a session of its own.
    assert second.numbers[0] == (12, 0.0)
    assert first.session_id != second.session_id
    assert service.billed_seconds <= 15 + 15


@pytest.mark.parametrize("at", [13.6, 14.1, 14.5, 14.7, 14.9, 15.0])
@pytest.mark.parametrize("kind", ["cut", "cut_in_frame", "close", "half_close"])
async def test_what_breaks_off_at_the_end_costs_no_word(service: Service, listen: Hear, kind: str, at: float) -> None:
    service.faults = [Fault(kind, at=at)]
    assert spoken(await listen(30)) == said(30)


async def test_a_service_that_hears_nothing_at_all_is_asked_again(
    service: Service, listen: Hear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws_session, "DRAIN_SECONDS", 0.3)
    service.faults = [Fault("pause", at=0.0, seconds=10_000.0)]
    assert spoken(await listen(60)) == said(60)


async def test_a_service_that_lets_no_more_sound_in_is_given_up(
    service: Service, listen: Hear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws_session, "STUCK_SECONDS", 10.0)
    service.faults = [Fault("no_window", at=3.0)]
    assert spoken(await listen(60)) == said(60)


@pytest.mark.parametrize(
    "payload",
    ["[]", "null", "{", '{"Transcript":null}', '{"Transcript":{"Results":null}}', '{"Transcript":{"Results":[null]}}']
    + [
        f'{{"Transcript":{{"Results":[{{"ResultId":"x","StartTime":{start},"EndTime":1.0,"IsPartial":false,'
        f'"Alternatives":{alternatives}}}]}}}}'
        for start, alternatives in (("null", '[{"Transcript":"a","Items":[]}]'), ("0.0", "null"), ("NaN", "[{}]"))
    ],
)
async def test_what_cannot_be_read_is_another_failure_that_passes(service: Service, listen: Hear, payload: str) -> None:
    service.faults = [Fault("payload", at=5.0, message=payload)]
    assert spoken(await listen(20)) == said(20)
    assert len(service.requests) == 2


async def test_three_failures_in_a_row_cost_no_word(service: Service, listen: Hear) -> None:
    service.faults = [Fault("cut", at=5.0), Fault("close", at=0.0), Fault("exception:InternalFailureException", at=1.0)]
    assert spoken(await listen(30)) == said(30)
    assert len(service.requests) == 4


@pytest.mark.parametrize("kind", ["hang_start", "hang_connect"])
async def test_a_start_that_hangs_is_given_up_and_tried_again(
    service: Service, listen: Hear, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(aws_session, "START_SECONDS", 0.5)
    service.faults = [Fault(kind)]
    assert spoken(await listen(10)) == said(10)


async def test_a_service_that_no_longer_answers_is_noticed(
    service: Service, listen: Hear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.engines.aws_connection.SIGN_OF_LIFE_SECONDS", 0.5)
    service.faults = [Fault("hang", at=3.0)]
    assert spoken(await listen(30)) == said(30)


async def test_a_service_that_hears_and_does_not_answer_is_given_up(
    service: Service, listen: Hear, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.faults = [Fault("pause", at=3.0, seconds=1000.0)]
    assert spoken(await listen(120)) == said(120)
    first, _ = service.requests
    assert 30.0 < first.audio_seconds < 40.0, "after half a minute of sound with words still open"


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


async def test_a_refusal_of_the_request_is_said_and_not_tried_again(service: Service, listen: Hear) -> None:
    service.faults = [Fault("refuse:BadRequestException", message="Your vocabulary could not be found.")]
    with pytest.raises(EngineError) as refused:
        await listen(10)
    assert str(refused.value) == (
        "Amazon Transcribe in eu-west-1 refused the request: Your vocabulary could not be found."
    )
    assert (refused.value.permanent, len(service.requests)) == (True, 1)


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


async def test_a_key_that_has_expired_is_said_and_not_tried_again(
    service: Service, listen: Hear, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.keys["AKIAIOSFODNN7EXPIRED"] = Key("a secret", session_token="old", is_expired=True)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXPIRED")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "old")
    with pytest.raises(EngineError) as refused:
        await listen(10)
    assert str(refused.value) == (
        "Amazon refused the key AKIA…IRED: it has expired. Renew the credentials, then try again."
    )
    assert (refused.value.permanent, len(service.requests)) == (True, 1)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"AWS_ACCESS_KEY_ID": "AKIAUNKNOWN"}, "Amazon refused the key AKIA…NOWN: it does not know the key."),
        ({"AWS_SECRET_ACCESS_KEY": "swordfish"}, "Amazon refused the key AKIA…MPLE: the secret does not belong to it"),
    ],
)
async def test_a_wrong_key_is_said(
    service: Service, listen: Hear, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], sentence: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(EngineError) as refused:
        await listen(10)
    assert str(refused.value).startswith(sentence)
    assert refused.value.permanent
    assert "swordfish" not in str(refused.value), "a secret is not shown"


async def test_a_key_without_permission_is_told_which_one(service: Service, listen: Hear) -> None:
    next(iter(service.keys.values())).may_transcribe = False
    with pytest.raises(EngineError, match="Allow it transcribe:StartStreamTranscription"):
        await listen(10)


async def test_no_key_at_all_is_said(service: Service, listen: Hear, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(EngineError, match=r"There are no AWS credentials here\. Set AWS_ACCESS_KEY_ID"):
        await listen(10)
    assert service.requests == []


async def test_a_certificate_that_nobody_trusts_is_said(service: Service, listen: Hear, settings: Any) -> None:
    settings.AWS_CA_BUNDLE = ""
    with pytest.raises(EngineError, match=r"is not trusted .* AWS_CA_BUNDLE") as refused:
        await listen(10)
    assert refused.value.permanent


async def test_a_file_of_authorities_that_is_not_there_is_said(service: Service, listen: Hear, settings: Any) -> None:
    settings.AWS_CA_BUNDLE = "/nowhere/ca.pem"
    with pytest.raises(EngineError, match="AWS_CA_BUNDLE") as refused:
        await listen(10)
    assert refused.value.permanent


async def test_a_service_that_is_not_there_is_tried_again_and_then_said(
    service: Service, listen: Hear, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pauses, "LONGEST_PAUSE_SECONDS", 0.01)
    settings.AWS_ENDPOINT_URL_TRANSCRIBE_STREAMING = "https://localhost:1"
    with pytest.raises(EngineError, match="The connection to Amazon Transcribe in eu-west-1 failed") as refused:
        await listen(10)
    assert not refused.value.permanent


async def test_no_free_stream_is_told_at_once(point: Point, listen: Hear) -> None:
    async with Service(quota=1) as service:
        point(service)
        longer = asyncio.create_task(listen(60))
        while not service.streams:
            await asyncio.sleep(0.01)
        with pytest.raises(EngineBusy, match=r"^Waiting for a free Amazon Transcribe stream\.$"):
            await listen(10)
        assert spoken(await longer) == said(60)


async def test_the_connection_can_be_tested(service: Service) -> None:
    sentence = await AwsEngine.test_connection()
    assert sentence.startswith("Amazon Transcribe in eu-west-1 took the key AKIA…MPLE and answered in ")
    assert (service.billed_seconds, service.streams) == (15, 0)


async def test_a_connection_that_does_not_work_says_why(service: Service) -> None:
    next(iter(service.keys.values())).is_expired = True
    with pytest.raises(EngineError, match="it has expired"):
        await AwsEngine.test_connection()


def test_pauses_grow_to_half_a_minute_and_are_never_the_same() -> None:
    drawn = [[pauses.pause_seconds(failures, 0.5) for _ in range(50)] for failures in range(11)]
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
    began = time.monotonic()
    while service.streams:
        await asyncio.sleep(0.01)
    assert time.monotonic() - began < 1.0
    assert (service.requests[0].end, len(service.requests)) == ("left", 1)


async def test_a_stop_while_the_service_has_not_answered_leaves_no_stream(service: Service, listen: Hear) -> None:
    service.faults = [Fault("hang_start")]
    job = asyncio.create_task(listen(20))
    async with asyncio.timeout(10.0):
        while not service.requests:
            await asyncio.sleep(0.01)
    job.cancel()
    await asyncio.wait({job})
    async with asyncio.timeout(1.0):
        while service.requests[0].end == "open":
            await asyncio.sleep(0.005)
    assert service.requests[0].end == "left"
    assert spoken(await listen(20)) == said(20), "and the next one is heard"


async def test_a_profile_that_is_not_there_is_a_missing_region_and_no_broken_page(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.AWS_REGION = ""
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert AwsEngine.missing() == "Set AWS_REGION, as in eu-west-1, to use Amazon Transcribe."


async def test_a_program_that_gives_no_key_at_the_moment_is_asked_again(
    service: Service, listen: Hear, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("[profile work]\ncredential_process = false\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "work")
    monkeypatch.setattr(pauses, "LONGEST_PAUSE_SECONDS", 0.01)
    with pytest.raises(EngineError, match="AWS gave no credentials") as refused:
        await listen(4)
    assert not refused.value.permanent


async def test_a_stop_that_races_a_start_leaves_no_stream(service: Service, tmp_path: Path) -> None:
    """Stopped after each millisecond, from before the connection to after the first sound."""
    spool = Spool(tmp_path / "decoded.pcm", 16_000, 1)
    spool.path.write_bytes(b"".join(say(number).tobytes() for number in range(40)))
    spool.samples, spool.is_complete = 20 * 16_000, True

    async def hear() -> None:
        async for _ in AwsEngine().transcribe(spool, Request("en-US")):
            pass

    opened = 0
    for milliseconds in range(80):
        job = asyncio.create_task(hear())
        await asyncio.sleep(milliseconds / 1000)
        opened += service.streams
        job.cancel()
        await asyncio.wait({job})
        async with asyncio.timeout(2.0):
            while service.streams:
                await asyncio.sleep(0.005)
    assert {request.end for request in service.requests} == {"left"}
    assert 0 < opened < 80, "some were stopped before there was a stream, and some after"
