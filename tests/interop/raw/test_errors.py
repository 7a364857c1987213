"""Errors that the service names, within an answer or in place of one."""

import json
from typing import Any

import pytest

from streaming.engines.base import EngineBusy, EngineError
from tests.interop.raw.answers import Answer, transcribe
from tests.interop.raw.conftest import ALL, Point, Transcribe, lines
from tests.interop.raw.event_stream import message
from tests.interop.raw.peer import Peer
from tests.interop.raw.server import RawServer

PLACE = "Amazon Transcribe in eu-west-1"
KEY = "Amazon refused the key AKIA…MPLE:"
TOO_BIG = "Your stream is too big. Reduce the frame size and try your request again."


def failing(raw: bytes) -> Answer:
    async def fail(peer: Peer) -> None:
        peer.data(raw, is_end=True)
        await peer.until(lambda: peer.is_lost)

    return Answer("midway", fail)


@pytest.mark.parametrize(
    "raw",
    [
        message(b'{"Message": "Oh."}', message_type="exception", exception_type="InternalFailureException"),
        message(b"", message_type="exception", exception_type="ServiceUnavailableException"),
        message(b"[]", message_type="exception"),
        message(
            json.dumps({"Message": TOO_BIG}).encode(), message_type="exception", exception_type="BadRequestException"
        ),
        message(b"", message_type="error", error_code="InternalError", error_message="Try again."),
        message(b"", message_type="error", error_code="ns#ThrottlingException:http://x/", error_message="Slow down."),
    ],
    ids=["failure", "no body", "no name", "too big", "error", "throttled"],
)
async def test_a_transient_failure_within_an_answer_loses_no_word(
    point: Point, transcribed: Transcribe, raw: bytes
) -> None:
    async with RawServer(failing(raw), transcribe) as server:
        point(server)
        assert lines(await transcribed()) == ALL
        assert server.requests == 2


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (
            message(b"", message_type="error", error_code="AccessDeniedException", error_message="No."),
            f"{KEY} the key lacks a permission. Allow it transcribe:StartStreamTranscription.",
        ),
        (
            message(
                b'{"message": "No such words."}', message_type="exception", exception_type="a.b#BadRequestException"
            ),
            f"{PLACE} refused the request: No such words.",
        ),
        (
            message(b'{"__type": "a.b#BadRequestException", "message": "No such words."}', message_type="exception"),
            f"{PLACE} refused the request: No such words.",
        ),
        (
            message(b"", message_type="error", error_code="BadRequestException", error_message="No such words."),
            f"{PLACE} refused the request: No such words.",
        ),
    ],
)
async def test_a_permanent_failure_within_an_answer_is_reported(
    point: Point, transcribed: Transcribe, raw: bytes, sentence: str
) -> None:
    async with RawServer(failing(raw)) as server:
        point(server)
        with pytest.raises(EngineError) as caught:
            await transcribed()
        assert (str(caught.value), caught.value.permanent, server.requests) == (sentence, True, 1)


def refusing(status: int, body: bytes = b"", **headers: str) -> Any:
    async def refuse(peer: Peer) -> None:
        peer.settings()
        await peer.until_requested()
        peer.refuse(status, body, **headers)
        await peer.until(lambda: peer.is_lost)

    return refuse


@pytest.mark.parametrize(
    ("play", "sentence"),
    [
        (
            refusing(
                400, b'{"Message": "No such words."}', x_amzn_errortype="com.amazon#BadRequestException:http://x#y/"
            ),
            f"{PLACE} refused the request: No such words.",
        ),
        (
            refusing(400, b'{"__type": "com.amazon#BadRequestException", "message": "No such words."}'),
            f"{PLACE} refused the request: No such words.",
        ),
        (refusing(400, b'{"code": "BadRequestException"}'), f"{PLACE} refused the request: BadRequestException"),
        (refusing(400, b"<html>"), f"{PLACE} answered 400 Bad Request."),
        (
            refusing(403, b'{"__type": "ns#ExpiredTokenException"}'),
            f"{KEY} the key has expired. Renew the credentials, then try again.",
        ),
        (
            refusing(403, b"{", x_amzn_errortype="UnrecognizedClientException:http://internal/"),
            f"{KEY} the key is unknown. Check AWS_ACCESS_KEY_ID (and AWS_SESSION_TOKEN).",
        ),
        (refusing(404), f"{PLACE} answered 404 Not Found."),
        (
            refusing(302, location="https://example.org/"),
            f"{PLACE} answered 302 Found, a redirect to another address. "
            "Check AWS_ENDPOINT_URL_TRANSCRIBE_STREAMING and HTTPS_PROXY.",
        ),
        (
            refusing(307, b"moved", location="https://example.org/"),
            f"{PLACE} answered 307 Temporary Redirect, a redirect to another address. "
            "Check AWS_ENDPOINT_URL_TRANSCRIBE_STREAMING and HTTPS_PROXY.",
        ),
        (
            refusing(407, b"<html>"),
            f"{PLACE} answered 407 Proxy Authentication Required. "
            "A proxy requires a user name and a password. Add them to HTTPS_PROXY.",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_permanent_refusal_is_reported_and_not_retried(
    point: Point, transcribed: Transcribe, play: Any, sentence: str
) -> None:
    async with RawServer(play) as server:
        point(server)
        with pytest.raises(EngineError) as caught:
            await transcribed()
        assert (str(caught.value), caught.value.permanent, server.requests) == (sentence, True, 1)


async def cut_refusal(peer: Peer) -> None:
    await peer.until_requested()
    peer.headers((":status", "503"), ("x-amzn-errortype", "ServiceUnavailableException"))
    peer.data(b'{"Mess')
    await peer.close()


@pytest.mark.parametrize(
    "play",
    [
        refusing(204),
        refusing(202, b"{}"),
        refusing(408),
        refusing(421, b"wrong server"),
        refusing(429),
        refusing(500),
        refusing(503, b"<html>busy</html>"),
        refusing(599),
        refusing(400, json.dumps({"Message": TOO_BIG}).encode(), x_amzn_errortype="BadRequestException"),
        refusing(400, json.dumps({"message": TOO_BIG}).encode()),
        cut_refusal,
    ],
    ids=["204", "202", "408", "421", "429", "500", "503", "599", "too big", "too big without a code", "cut"],
)
async def test_a_transient_refusal_is_retried(point: Point, transcribed: Transcribe, play: Any) -> None:
    async with RawServer(play, transcribe) as server:
        point(server)
        assert lines(await transcribed()) == ALL
        assert server.requests == 2


async def test_a_persistent_204_is_reported(
    point: Point, transcribed: Transcribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.worker.retry.MOST_FAILURES", 1)
    async with RawServer(refusing(204)) as server:
        point(server)
        with pytest.raises(EngineError) as caught:
            await transcribed()
        assert str(caught.value) == f"{PLACE} answered 204 No Content, without a transcript. Try again later."


async def test_a_limit_error_with_a_namespace_lets_the_job_wait(point: Point, transcribed: Transcribe) -> None:
    async with RawServer(refusing(429, b"{}", x_amzn_errortype="ns#LimitExceededException:http://x/")) as server:
        point(server)
        with pytest.raises(EngineBusy):
            await transcribed()


async def test_the_id_of_each_request_is_logged(
    point: Point, transcribed: Transcribe, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    busy = refusing(503, x_amzn_request_id="first", x_amzn_errortype="ServiceUnavailableException")

    async def hurried(peer: Peer) -> None:
        await peer.until_requested()
        peer.headers((":status", "200"), ("x-amzn-request-id", "second"), ("x-amzn-transcribe-session-id", "s-2"))
        peer.cut()

    async with RawServer(busy, hurried, transcribe) as server:
        point(server)
        assert lines(await transcribed()) == ALL
    logged = [record.getMessage() for record in caplog.records if record.name.endswith("aws.transport")]
    assert logged[:2] == [
        "Amazon Transcribe refused request first: 503 ServiceUnavailableException",
        "Amazon Transcribe accepted request second, session s-2",
    ]
    assert len(logged) == 3
