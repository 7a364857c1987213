"""The service's rules about signed chunks and time. Most tests violate a rule; the last ones keep them."""

import asyncio
import datetime
from collections.abc import Callable

import pytest
from amazon_transcribe.auth import Credentials

from tests.standin import Service, stream
from tests.standin.client import AUDIO_HEADERS, RawClient
from tests.standin.conftest import ConnectRaw, speech
from tests.standin.signatures import MISMATCH


def moved(seconds: float) -> Callable[[], datetime.datetime]:
    """Return a clock that is wrong by `seconds` of real time."""
    return lambda: datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)


async def failed(client: RawClient) -> tuple[str, str]:
    """Return the exception that ended the response."""
    await client.until(lambda: client.end)
    assert client.end == "end_stream"
    assert client.exception is not None
    return client.exception


async def test_a_tampered_chunk_breaks_the_signature_chain(service: Service, connect: ConnectRaw) -> None:
    client = await (await connect(service)).begin()
    client.send_audio(speech(1))
    client.prior = bytes(32)  # as if a chunk had been lost or repeated
    client.send_audio(speech(2))
    assert await failed(client) == ("BadRequestException", MISMATCH)
    assert (service.requests[0].chunks, service.requests[0].end) == (1, "exception")
    assert service.requests[0].billed_seconds == 15


async def test_a_chunk_signed_with_another_key_breaks_the_signature_chain(
    service: Service, connect: ConnectRaw
) -> None:
    client = await (await connect(service)).begin()
    client.credentials = Credentials(client.credentials.access_key_id, "another")
    client.send_audio(speech(1))
    assert await failed(client) == ("BadRequestException", MISMATCH)


async def test_an_unsigned_chunk_is_refused(service: Service, connect: ConnectRaw) -> None:
    client = await (await connect(service)).begin()
    client.send(client._serializer.serialize(AUDIO_HEADERS, speech(1)))
    assert await failed(client) == ("BadRequestException", MISMATCH)


async def test_bytes_that_are_no_message_are_refused(service: Service, connect: ConnectRaw) -> None:
    client = await (await connect(service)).begin()
    client.send(speech(1))
    assert (await failed(client))[0] == "SerializationException"


@pytest.mark.parametrize(
    ("pcm", "words"),
    [
        (bytes(32 * 1024 + 2), "Your stream is too big"),
        (bytes(64 * 1024), "Your stream is too big"),
        (bytes(200_000), "Your stream is too big"),
        (bytes(321), "whole samples"),
    ],
)
async def test_a_chunk_of_a_wrong_size_is_refused(
    service: Service, connect: ConnectRaw, pcm: bytes, words: str
) -> None:
    client = await (await connect(service)).begin()
    client.send_audio(pcm)
    name, message = await failed(client)
    assert name == "BadRequestException"
    assert words in message


async def test_half_a_frame_of_two_channels_is_refused(service: Service, connect: ConnectRaw) -> None:
    client = await (await connect(service)).begin(enable_channel_identification=True, number_of_channels=2)
    client.send_audio(bytes(322))
    assert "whole samples" in (await failed(client))[1]


async def test_the_largest_chunk_is_accepted(service: Service, connect: ConnectRaw) -> None:
    client = await (await connect(service)).begin()
    client.send_audio(bytes(32 * 1024))
    client.end_audio()
    await client.until(lambda: client.end)
    assert (service.requests[0].largest_chunk_bytes, service.requests[0].end) == (32 * 1024, "end_stream")


async def test_fifteen_seconds_without_audio_end_the_stream(connect: ConnectRaw) -> None:
    async with Service(rate=50) as service:
        silent, talking = await (await connect(service)).begin(), await (await connect(service)).begin()
        for _ in range(3):
            talking.send_audio(bytes(3200))
            await asyncio.sleep(0.12)  # 6 s
        assert await failed(silent) == (
            "BadRequestException",
            "Your request timed out because no new audio was received for 15 seconds.",
        )
        assert "timed out" in (await failed(talking))[1]
        first, second = (
            (record.ended_at - record.started_at) * service.rate
            for record in service.requests
            if record.ended_at is not None
        )
        assert first >= 15
        assert second >= 12 + 15


@pytest.mark.parametrize("seconds", [-10, 10])
async def test_a_chunk_signed_at_another_time_is_refused(service: Service, connect: ConnectRaw, seconds: float) -> None:
    client = await (await connect(service)).begin()
    client.signer._utc_now = moved(seconds)  # at this rate, 500 s on the service's clock
    client.send_audio(bytes(3200))
    name, message = await failed(client)
    assert name == "BadRequestException"
    assert message.startswith("Signature expired: " if seconds < 0 else "Signature not yet current: ")


async def test_a_recording_that_is_signed_at_once_expires_after_five_minutes(connect: ConnectRaw) -> None:
    async with Service(rate=200) as service:
        client = await (await connect(service)).begin(sample_rate=8_000)
        (record,) = service.requests
        date = datetime.datetime.now(datetime.UTC)
        dated = (asyncio.get_running_loop().time() - record.started_at) * service.rate
        client.signer._utc_now = lambda: date
        for _ in range(170):
            client.send_audio(bytes(32_000))  # 2 s
            await asyncio.sleep(0)
        name, message = await failed(client)
        assert (name, message[:18]) == ("BadRequestException", "Signature expired:")
        # Each chunk's signature is as old as the chunk's position in the audio, or older if this test was slow.
        assert record.ended_at is not None
        assert max(record.audio_seconds, (record.ended_at - record.started_at) * service.rate) >= 299
        assert record.audio_seconds <= dated + 304


async def test_back_pressure_limits_a_client_to_real_time(connect: ConnectRaw) -> None:
    async with Service(rate=20) as service:
        client = await (await connect(service)).begin()
        for number in range(120):
            client.send_audio(speech(number))
        record = service.requests[0]
        async with asyncio.timeout(60):
            while len(record.numbers) < 12:  # six seconds
                await asyncio.sleep(0.02)
                seconds = (asyncio.get_running_loop().time() - record.started_at) * service.rate
                assert record.audio_seconds <= seconds + 5 + 0.5  # the start of a chunk
                assert all(time <= seconds for _, time in record.numbers)


async def test_words_are_recognised_in_real_time(connect: ConnectRaw) -> None:
    async with Service(rate=20) as service:
        client = await (await connect(service)).begin()
        client.send_audio(speech(1, 2))
        client.send_audio(speech(3, 4))
        client.end_audio()
        await client.until(lambda: client.end)
        record = service.requests[0]
        assert record.ended_at is not None
        assert (record.ended_at - record.started_at) * service.rate >= 1
        assert client.results[-1]["Alternatives"][0]["Transcript"] == "w1 w2 w3 w4."


async def test_a_stream_ends_after_four_hours(
    service: Service, connect: ConnectRaw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "LONGEST_SECONDS", 5.0)
    client = await (await connect(service)).begin()
    client.send_audio(speech(1))
    await client.until(lambda: client.end)
    assert (client.end, client.exception, service.requests[0].end) == ("end_stream", None, "limit")
    assert service.streams == 0


@pytest.mark.parametrize("last", [None, b""])
async def test_refuses_an_end_without_the_empty_frame(
    service: Service, connect: ConnectRaw, last: bytes | None
) -> None:
    client = await (await connect(service)).begin()
    client.send_audio(speech(1))
    await client.until(lambda: client.results)
    if last is not None:
        client.send_audio(last)  # an audio event without audio is not the empty frame
    client.send(b"", is_end=True)
    assert await failed(client) == (
        "BadRequestException",
        "A complete signal was sent without the preceding empty frame.",
    )
    assert [result["IsPartial"] for result in client.results] == [True]
    assert service.requests[0].end == "exception"


async def test_the_empty_chunk_without_an_end_times_out(service: Service, connect: ConnectRaw) -> None:
    client = await (await connect(service)).begin()
    client.send_audio(speech(1))
    client.send_message(b"")
    assert "timed out" in (await failed(client))[1]


async def test_audio_before_a_damaged_message_is_recognised(service: Service, connect: ConnectRaw) -> None:
    client = await (await connect(service)).begin()
    client.send_audio(speech(1)[:3200])
    client.send(b"nonsense, and more of it")
    assert (await failed(client))[0] == "SerializationException"
    assert service.requests[0].chunks == 1


@pytest.mark.parametrize("way", [RawClient.leave, RawClient.close])
async def test_a_client_that_disconnects_frees_its_stream(
    connect: ConnectRaw, way: Callable[[RawClient], None]
) -> None:
    async with Service(rate=1.0) as service:  # slow, so that the stream is not timed out
        client = await (await connect(service)).begin()
        client.send_audio(speech(1))
        await client.until(lambda: client.results)
        assert service.streams == 1
        way(client)
        async with asyncio.timeout(60):
            while service.streams:
                await asyncio.sleep(0.01)
        assert (service.requests[0].end, service.requests[0].billed_seconds) == ("left", 15)


async def test_billing_is_by_the_second_with_a_minimum_of_fifteen(connect: ConnectRaw) -> None:
    async with Service(rate=200) as service:
        client = await (await connect(service)).begin(sample_rate=8_000)
        for _ in range(10):
            client.send_audio(bytes(25_600))  # 1.6 s
        client.send_audio(bytes(16))
        client.end_audio()
        await client.until(lambda: client.end)
        assert service.requests[0].billed_seconds == service.billed_seconds == 17
        assert service.requests[0].audio_seconds == 16.001
        assert service.requests[0].silent_seconds == pytest.approx(16.001)


async def test_a_quiet_stream_sends_events_without_results(service: Service, connect: ConnectRaw) -> None:
    client = await (await connect(service)).begin(sample_rate=8_000)
    for _ in range(4):
        client.send_audio(bytes(32_000))  # 2 s
    client.end_audio()
    await client.until(lambda: client.end)
    assert ([message.payload for message in client.messages], client.results) == (
        [b'{"Transcript":{"Results":[]}}'],
        [],
    )
