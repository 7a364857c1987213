"""The real SDK against the stand-in: normal streams, and the SDK's exceptions for refusals."""

import asyncio
from typing import Any

import pytest
from amazon_transcribe import exceptions
from amazon_transcribe.client import TranscribeStreamingClient
from amazon_transcribe.model import Result, StartStreamTranscriptionEventStream

from tests.standin import Fault, Key, Service
from tests.standin.conftest import MakeSdk, speech

PATIENCE_SECONDS = 60


async def start(client: TranscribeStreamingClient, **options: Any) -> StartStreamTranscriptionEventStream:
    known: dict[str, Any] = {"language_code": "en-US", "media_sample_rate_hz": 16_000, "media_encoding": "pcm"}
    # In the SDK a start whose connection fails never returns.
    return await asyncio.wait_for(client.start_stream_transcription(**known | options), PATIENCE_SECONDS)


async def transcribe(service: Service, stream: StartStreamTranscriptionEventStream, pcm: bytes) -> list[Result]:
    """Send audio in chunks of 100 ms at the service's pace, and return all results."""
    results: list[Result] = []

    async def send() -> None:
        begin = asyncio.get_running_loop().time()
        for number, place in enumerate(range(0, len(pcm), 3200)):
            await asyncio.sleep(begin + number * 0.1 / service.rate - asyncio.get_running_loop().time())
            await stream.input_stream.send_audio_event(audio_chunk=pcm[place : place + 3200])
        await stream.input_stream.end_stream()

    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as tasks:
        tasks.create_task(send())
        async for event in stream.output_stream:
            results += event.transcript.results
    return results


async def test_a_paced_stream_returns_each_number_once(service: Service, sdk: MakeSdk) -> None:
    stream = await start(sdk(service))
    results = await transcribe(service, stream, speech(*range(1, 11)))

    finals = [result for result in results if not result.is_partial]
    assert [result.alternatives[0].transcript for result in finals] == ["w1 w2 w3 w4.", "w5 w6 w7 w8.", "w9 w10."]
    assert [(result.start_time, result.end_time) for result in finals] == [(0.0, 2.0), (2.0, 4.0), (4.0, 5.0)]
    # Partials have the id of their final.
    first = [result for result in results if result.result_id == finals[0].result_id]
    assert [result.alternatives[0].transcript for result in first] == ["w1", "w1 w2", "w1 w2 w3", "w1 w2 w3 w4."]
    items = finals[0].alternatives[0].items
    assert [(item.content, item.start_time, item.end_time, item.item_type) for item in items][3:] == [
        ("w4", 1.5, 2.0, "pronunciation"),
        (".", 2.0, 2.0, "punctuation"),
    ]
    (record,) = service.requests
    assert (record.end, record.exception, record.chunks) == ("end_stream", "", 50)
    assert (record.audio_seconds, record.billed_seconds, record.largest_chunk_bytes) == (5.0, 15, 3200)
    assert record.first_number == 1
    assert record.silent_seconds == pytest.approx(1.8)
    assert (service.streams, service.most_streams, service.billed_seconds) == (0, 1, 15)


async def test_the_answer_names_the_session(service: Service, sdk: MakeSdk) -> None:
    session_id = "01234567-89ab-cdef-0123-456789abcdef"
    stream = await start(sdk(service), session_id=session_id, show_speaker_label=True)
    assert stream.response.session_id == service.requests[0].session_id == session_id
    assert (stream.response.show_speaker_label, stream.response.media_sample_rate_hz) == (True, 16_000)
    await transcribe(service, stream, speech(1))

    with pytest.raises(exceptions.ConflictException):
        await start(sdk(service), session_id=session_id)


async def test_a_temporary_key_is_accepted_with_its_token(service: Service, sdk: MakeSdk) -> None:
    service.keys = {"ASIAEXAMPLE": Key("secret", session_token="token")}
    stream = await start(sdk(service))
    assert await transcribe(service, stream, speech(1))


@pytest.mark.parametrize(
    ("credentials", "key", "code"),
    [
        ({"access_key_id": "AKIANOBODY"}, {}, "UnrecognizedClientException"),
        ({"session_token": "unknown"}, {}, "UnrecognizedClientException"),
        ({"secret_access_key": "wrong"}, {}, "InvalidSignatureException"),
        ({}, {"is_expired": True}, "ExpiredTokenException"),
        ({}, {"may_transcribe": False}, "AccessDeniedException"),
    ],
)
async def test_service_refuses_unknown_and_expired_keys(
    service: Service, sdk: MakeSdk, credentials: dict[str, str], key: dict[str, bool], code: str
) -> None:
    for each in service.keys.values():
        vars(each).update(key)
    with pytest.raises(exceptions.UnknownServiceException) as raised:
        await start(sdk(service, **credentials))
    assert (raised.value.status_code, raised.value.error_code) == (403, code)
    (record,) = service.requests
    assert (record.end, record.exception, record.billed_seconds) == ("refused", code, 0)


async def test_service_refuses_more_streams_than_the_quota(sdk: MakeSdk) -> None:
    async with Service(rate=2.0, quota=1) as service:  # slow, so that the first is not timed out
        stream = await start(sdk(service))
        with pytest.raises(exceptions.LimitExceededException):
            await start(sdk(service))
        await stream.input_stream.end_stream()
        async for _ in stream.output_stream:
            pass
        await transcribe(service, await start(sdk(service)), speech(1))
        assert service.most_streams == 1


@pytest.mark.parametrize(
    "name",
    [
        "BadRequestException",
        "ConflictException",
        "InternalFailureException",
        "LimitExceededException",
        "SerializationException",
        "ServiceUnavailableException",
    ],
)
async def test_every_exception_comes_as_a_response_and_as_an_event(service: Service, sdk: MakeSdk, name: str) -> None:
    service.faults = [Fault(f"refuse:{name}"), Fault(f"exception:{name}", at=0.5)]
    expected = getattr(exceptions, name)
    with pytest.raises(expected):
        await start(sdk(service))
    stream = await start(sdk(service))
    with pytest.raises(ExceptionGroup) as raised:
        await transcribe(service, stream, speech(1, 2, 3))
    assert raised.group_contains(expected)
    assert [record.end for record in service.requests] == ["refused", "fault"]


async def test_a_key_that_changes_mid_stream_breaks_the_signature_chain(service: Service, sdk: MakeSdk) -> None:
    client = sdk(service)
    stream = await start(client)
    await stream.input_stream.send_audio_event(audio_chunk=speech(1)[:3200])
    client._credential_resolver.secret_access_key = "a new one"
    with pytest.raises(ExceptionGroup) as raised:
        await transcribe(service, stream, speech(2, 3))
    assert raised.group_contains(exceptions.BadRequestException, match=r"^$|signature we calculated")
    assert service.requests[0].chunks == 1


async def test_an_early_clean_end_ends_the_results(service: Service, sdk: MakeSdk) -> None:
    service.faults = [Fault("close", at=1.0)]
    stream = await start(sdk(service))
    await stream.input_stream.send_audio_event(audio_chunk=speech(1, 2))
    async with asyncio.timeout(PATIENCE_SECONDS):
        results = [result async for event in stream.output_stream for result in event.transcript.results]
    assert [result.alternatives[0].transcript for result in results] == ["w1", "w1 w2"]
    assert service.requests[0].end == "fault"
    stream.input_stream._input_stream.close()
