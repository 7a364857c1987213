"""Each fault has its documented effect, and the next request is served normally."""

import asyncio
import math
import os
import signal
import ssl
import sys
from pathlib import Path

import pytest

from tests.standin import Fault, Service
from tests.standin.client import RawClient, options
from tests.standin.conftest import ConnectRaw, speech
from tests.standin.http2 import EVERY_STREAM
from tests.standin.messages import DamagedError


async def spoiled(service: Service, connect: ConnectRaw, fault: Fault, *, is_ended: bool = False) -> RawClient:
    """Return a client whose stream had the fault and two seconds of audio: w1 to w4."""
    service.faults = [fault]
    client = await (await connect(service)).begin()
    client.send_audio(speech(1, 2))
    client.send_audio(speech(3, 4)[:-3200])
    if is_ended:
        client.end_audio()
    return client


def texts(client: RawClient) -> list[str]:
    return [result["Alternatives"][0]["Transcript"] for result in client.results]


async def test_an_unknown_fault_is_refused() -> None:
    for kind in ("explode", "refuse", "cut:Something"):
        with pytest.raises(ValueError, match="no such fault"):
            Fault(kind)


async def test_a_fault_can_refuse_with_any_error(service: Service, connect: ConnectRaw) -> None:
    service.faults = [Fault("refuse:ThrottlingException", message="Rate exceeded"), None]
    client = await (await connect(service)).begin()
    await client.until(lambda: client.end)
    assert (client.status, client.headers["x-amzn-errortype"]) == (400, "ThrottlingException:")
    assert client.body == b'{"Message": "Rate exceeded"}'
    assert (await (await connect(service)).begin()).status == 200
    assert (await (await connect(service)).begin()).status == 200
    assert service.faults == []


async def test_a_fault_can_send_an_exception_mid_stream(service: Service, connect: ConnectRaw) -> None:
    client = await spoiled(service, connect, Fault("exception:InternalFailureException", at=1.0, message="Oh."))
    await client.until(lambda: client.end)
    assert (client.end, client.exception) == ("end_stream", ("InternalFailureException", "Oh."))
    assert texts(client) == ["w1", "w1 w2"]
    record = service.requests[0]
    assert (record.end, record.exception, record.billed_seconds) == ("fault", "InternalFailureException", 15)


@pytest.mark.parametrize(
    ("kind", "end"),
    [
        ("cut", "lost"),
        ("cut_in_frame", "lost"),
        ("close", "end_stream"),
        ("half_close", "end_stream"),
        ("reset", "reset 2"),
        ("goaway", "goaway"),
    ],
)
async def test_a_fault_can_end_the_stream_mid_way(service: Service, connect: ConnectRaw, kind: str, end: str) -> None:
    client = await spoiled(service, connect, Fault(kind, at=1.0))
    await client.until(lambda: client.end)
    assert client.end == end
    if kind != "cut":  # a reset may overtake data sent before it
        assert texts(client) == ["w1", "w1 w2"]
    assert client._decoder.is_between_messages == (kind != "cut_in_frame")
    assert (service.requests[0].end, service.streams) == ("fault", 0)


async def test_a_fault_can_report_that_the_end_was_not_read(service: Service, connect: ConnectRaw) -> None:
    client = await spoiled(service, connect, Fault("unread", at=1.0), is_ended=True)
    await client.until(lambda: client.end)
    assert (client.end, texts(client)) == ("end_stream", ["w1", "w1 w2"])
    assert (service.requests[0].end, service.streams) == ("fault", 0)


@pytest.mark.parametrize("at", [None, 1.0, math.inf])
@pytest.mark.parametrize(("kind", "ids"), [("drain", [1]), ("drain_twice", [EVERY_STREAM, 1])])
async def test_a_stream_continues_to_its_end_after_a_graceful_goaway(
    service: Service, connect: ConnectRaw, kind: str, ids: list[int], at: float | None
) -> None:
    client = await spoiled(service, connect, Fault(kind, at=at), is_ended=True)
    await client.until(lambda: client.end and client.is_lost)
    assert (client.end, texts(client)[-1]) == ("end_stream", "w1 w2 w3 w4.")
    assert client.goaways[0] == ids[0]  # at the end of the audio the connection may close before the second one arrives
    assert set(client.goaways) <= set(ids)
    assert (service.requests[0].end, service.streams) == ("end_stream", 0)


async def test_a_new_stream_is_refused_after_a_graceful_goaway(service: Service, connect: ConnectRaw) -> None:
    client = await spoiled(service, connect, Fault("drain"))
    await client.until(lambda: client.goaways)
    headers = client.request(options())
    client.stream_id = 3
    client.start(headers)
    await client.until(lambda: client.end)
    assert (client.end, len(service.requests)) == ("reset 7", 1)  # REFUSED_STREAM


async def test_a_fault_can_send_a_graceful_goaway_on_every_connection(connect: ConnectRaw) -> None:
    async with Service(rate=50, goaway_at=math.inf) as service:
        for _ in range(2):
            client = await (await connect(service)).begin()
            client.send_audio(speech(1))
            client.end_audio()
            await client.until(lambda client=client: client.end)
            assert (client.goaways, texts(client), client.end) == ([1], ["w1", "w1."], "end_stream")


async def test_a_fault_without_a_time_occurs_with_the_answer(service: Service, connect: ConnectRaw) -> None:
    service.faults = [Fault("close")]
    client = await (await connect(service)).begin()
    await client.until(lambda: client.end)
    assert (client.status, client.end, client.messages) == (200, "end_stream", [])


@pytest.mark.parametrize("count", [1, 100, 700])
async def test_a_fault_can_cut_the_connection_after_any_byte(service: Service, connect: ConnectRaw, count: int) -> None:
    client = await spoiled(service, connect, Fault("cut_at_byte", count=count))
    await client.until(lambda: client.end)
    assert (client.end, len(client.body)) == ("lost", count)


async def test_a_fault_can_send_a_bad_checksum(service: Service, connect: ConnectRaw) -> None:
    client = await spoiled(service, connect, Fault("bad_checksum", at=0.5))
    await client.until(lambda: len(client.body) > 420)
    with pytest.raises(DamagedError, match="checksum"):
        _ = client.messages


async def test_a_fault_can_hang_without_closing_the_connection(service: Service, connect: ConnectRaw) -> None:
    client = await spoiled(service, connect, Fault("hang", at=1.0))
    await client.until(lambda: texts(client) == ["w1", "w1 w2"])
    client.ping()
    client.end_audio()
    async with asyncio.timeout(60):
        while service.streams:  # until the service times it out
            await asyncio.sleep(0.01)
    assert (texts(client), client.end, client.pings) == (["w1", "w1 w2"], "", 0)
    assert service.requests[0].end == "fault"


async def test_a_fault_can_hang_at_the_start_of_a_stream(connect: ConnectRaw) -> None:
    async with Service(rate=1.0) as service:  # slow, so that the service does not time the stream out yet
        service.faults = [Fault("hang_start")]
        client = await connect(service)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.begin(), 0.1)
        client.ping()
        await client.until(lambda: client.pings)
        assert (client.status, client.end, service.streams) == (0, "", 1)


async def test_a_fault_can_hang_before_the_handshake(service: Service, connect: ConnectRaw) -> None:
    service.faults = [Fault("hang_connect")]
    connecting = asyncio.create_task(RawClient.connect(service.environ))
    async with asyncio.timeout(60):
        while service.faults:
            await asyncio.sleep(0.01)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(connecting, 0.2)
    assert service.requests == []
    assert (await (await connect(service)).begin()).status == 200


async def test_a_fault_can_delay_results(service: Service, connect: ConnectRaw) -> None:
    client = await spoiled(service, connect, Fault("pause", at=1.0, seconds=12.0), is_ended=True)
    began_at = asyncio.get_running_loop().time()
    await client.until(lambda: len(texts(client)) > 2)
    assert (asyncio.get_running_loop().time() - began_at) * service.rate >= 12
    await client.until(lambda: client.end)
    assert texts(client) == ["w1", "w1 w2", "w1 w2 w3", "w1 w2 w3 w4."]
    assert (client.end, service.requests[0].end) == ("end_stream", "end_stream")


@pytest.mark.parametrize(("kind", "end"), [("never_ends", ""), ("drop_last", "end_stream")])
async def test_a_fault_can_leave_the_last_partial_without_a_final(
    service: Service, connect: ConnectRaw, kind: str, end: str
) -> None:
    service.faults = [Fault(kind)]
    client = await (await connect(service)).begin()
    client.send_audio(speech(1, 2))
    client.end_audio()
    await client.until(lambda: len(texts(client)) > 1 and client.end == end)
    await asyncio.sleep(0.2)
    assert (client.end, [result["IsPartial"] for result in client.results]) == (end, [True, True])


async def test_service_survives_clients_that_fail_the_handshake(service: Service, connect: ConnectRaw) -> None:
    port = int(service.url.rpartition(":")[2])
    with pytest.raises(ssl.SSLError):
        await asyncio.open_connection("localhost", port, ssl=ssl.create_default_context())
    context = ssl.create_default_context(cafile=service.ca_file)
    reader, writer = await asyncio.open_connection("localhost", port, ssl=context)  # without HTTP/2
    assert await reader.read() == b""
    writer.close()
    assert (await (await connect(service)).begin()).status == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_service_runs_as_a_program_until_it_is_stopped(connect: ConnectRaw, number: int) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.standin", "--rate", "20"),
        cwd=Path(__file__).parents[2],
        env={name: value for name, value in os.environ.items() if not name.startswith("DJANGO")},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        lines = (await asyncio.wait_for(process.stdout.readuntil(b"\n\n"), 60)).decode().split()
        client = await RawClient.connect(dict(line.split("=", 1) for line in lines))
        assert (await client.begin()).status == 200
        client.send_audio(speech(1))
        client.end_audio()
        await client.until(lambda: client.end)
        assert texts(client) == ["w1", "w1."]
        client.close()
        process.send_signal(number)
        assert await asyncio.wait_for(process.wait(), 60) == 0
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
