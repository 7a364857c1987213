"""Viewers on bad networks and hostile viewers: none of them harms the site or other viewers."""

import asyncio
import json
import socket
import time
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Opcode

from tests.faults.conftest import connections, finished_job, is_unharmed, memory_mib, running_job, watching
from tests.faults.raw_clients import close_code, connected, cut, frame, handshake, is_dropped, message, opened
from tests.site import Site, wait_until
from tests.visitor import Visitor, events, rows

MIB = 1024**2
SYNC = b'{"type": "sync", "after": 0}'


# The network between viewer and server


def wait_for_finals(site: Site, count: int) -> None:
    wait_until(lambda: rows(site, "select count(*) from streaming_segment")[0][0] >= count, 60, "more finals")


def test_a_viewer_that_is_cut_off_gets_missed_finals_when_it_reconnects(
    web: Site, visitor: Visitor, tmp_path: Path
) -> None:
    job = running_job(visitor, tmp_path, words=600, pace=8)
    finals: list[int] = []
    for missed in range(1, 4):
        wait_for_finals(web, len(finals) + missed)
        connection = opened(visitor, f"/ws/jobs/{job}/?after={finals[-1] if finals else 0}")
        snapshot = json.loads(message(connection)[1])
        finals += [segment["seq"] for segment in snapshot["segments"]]
        while (event := json.loads(message(connection)[1]))["type"] != "final":
            pass
        finals.append(event["seq"])
        cut(connection)
    assert finals == [*range(1, len(finals) + 1)]
    wait_until(lambda: watching(visitor) == 0, what="the unsubscribing of the cut viewers")
    assert is_unharmed(web)


def test_a_viewer_that_answers_no_pings_is_disconnected_and_a_silent_one_is_not(
    short_timeout_site: Site, tmp_path: Path
) -> None:
    with Visitor(short_timeout_site) as visitor:
        job = finished_job(visitor, tmp_path)
        with visitor.watch(job) as silent, opened(visitor, f"/ws/jobs/{job}/") as gone:
            assert next(events(silent))["type"] == "snapshot"
            wait_until(lambda: watching(visitor) == 2, what="the second viewer")
            wait_until(lambda: watching(visitor) == 1, what="the ping timeout of the viewer that is gone")
            assert is_dropped(gone)
            silent.send(SYNC.decode())
            assert next(events(silent))["type"] == "snapshot"


def test_a_viewer_that_sends_byte_by_byte_gets_the_whole_transcript(visitor: Visitor, tmp_path: Path) -> None:
    job = finished_job(visitor, tmp_path)
    with connected(visitor.site) as slow:
        for byte in handshake(visitor, f"/ws/jobs/{job}/"):
            slow.send(bytes([byte]))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += slow.recv(1)
        assert len(json.loads(message(slow)[1])["segments"]) == 10
        for byte in frame(SYNC):
            slow.send(bytes([byte]))
            time.sleep(0.08)
        assert len(json.loads(message(slow)[1])["segments"]) == 10


def test_a_viewer_that_reads_a_byte_a_second_uses_no_memory_and_slows_no_other_viewer(
    web: Site, visitor: Visitor, tmp_path: Path
) -> None:
    job = finished_job(visitor, tmp_path, words=800)
    with opened(visitor, f"/ws/jobs/{job}/", receive_bytes=4096) as slow, visitor.watch(job) as reader:
        assert next(events(reader))["type"] == "snapshot"
        before = memory_mib(web)
        for number in range(200):  # the server answers each with a snapshot of 160 KB
            with suppress(OSError):  # the server may have evicted the slow viewer
                slow.sendall(frame(SYNC))
                if number % 50 == 0:  # about a second
                    slow.recv(1)
            reader.send(SYNC.decode())
            assert next(events(reader))["type"] == "snapshot"
        assert memory_mib(web) - before < 10


# Hostile viewers


def test_a_thousand_viewers_that_are_cut_off_leave_no_subscription_and_no_connection(
    web: Site, visitor: Visitor, tmp_path: Path
) -> None:
    job = finished_job(visitor, tmp_path)
    before = connections(web)
    for number in range(1000):
        connection = opened(visitor, f"/ws/jobs/{job}/?after={number % 12}")
        if number % 2:
            message(connection)
        cut(connection)
    wait_until(lambda: watching(visitor) == 0, what="the unsubscribing of the viewers")
    wait_until(lambda: connections(web) <= before + 3, what="the closing of their connections")
    assert is_unharmed(web)


def test_half_a_handshake_or_request_times_out(short_timeout_site: Site) -> None:
    with Visitor(short_timeout_site) as visitor:
        socket = handshake(visitor, "/ws/stream/")
        form = b"POST /uploads/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n" + bytes(1000)
        halves = []
        for number in range(50):
            whole = form if number % 2 else socket
            halves.append(connected(short_timeout_site))
            halves[-1].sendall(whole[: number * len(whole) // 50])
        assert visitor.http.get("/healthz").text == "ok\n"
        for number, half in enumerate(halves):
            is_body = number % 2 and number * len(form) // 50 >= form.index(bytes(1))
            assert half.recv(1000)[:12] == (b"HTTP/1.1 408" if is_body else b""), number
            half.close()
    assert is_unharmed(short_timeout_site)


def test_headers_sent_byte_by_byte_time_out_and_a_body_has_a_longer_limit(short_timeout_site: Site) -> None:
    def send_slowly(connection: socket.socket, seconds: float) -> bool:
        """Send a byte at a time. Returns whether the connection has lived so long."""
        ends_at = time.monotonic() + seconds
        connection.settimeout(0.05)
        while time.monotonic() < ends_at:
            try:
                connection.sendall(b"x")
                if connection.recv(1) == b"":
                    return False
            except TimeoutError:
                continue
            except ConnectionError:
                return False
        return True

    with connected(short_timeout_site) as head:
        head.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        assert not send_slowly(head, 60)
    with connected(short_timeout_site) as body:
        body.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"ok\n" in body.makefile("rb")
        time.sleep(1)  # longer than the timeout for headers, which restarts with each request
        body.sendall(b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n")
        assert send_slowly(body, 1)


@pytest.mark.parametrize("parts", [1, 16])
def test_a_message_of_a_mebibyte_closes_its_socket_with_1009(visitor: Visitor, tmp_path: Path, parts: int) -> None:
    job = finished_job(visitor, tmp_path)
    with visitor.watch(job) as other, opened(visitor, f"/ws/jobs/{job}/") as bad:
        assert next(events(other))["type"] == "snapshot"
        for number in range(parts):
            opcode = Opcode.CONT if number else Opcode.TEXT
            with suppress(ConnectionError):  # the server resets the connection a second after the close frame
                bad.sendall(frame(b"[" * (MIB // parts), opcode, fin=number == parts - 1))
        assert close_code(bad) == 1009
        assert is_dropped(bad)
        other.send(SYNC.decode())
        assert next(events(other))["type"] == "snapshot"


def test_a_malformed_frame_closes_its_socket_and_later_data_uses_no_memory(visitor: Visitor, tmp_path: Path) -> None:
    job = finished_job(visitor, tmp_path)
    with opened(visitor, f"/ws/jobs/{job}/") as bad:
        before = visitor.site.peak_mib()
        bad.sendall(b"\x89\xff" + (1 << 40).to_bytes(8, "big") + bytes(4))  # the header of a ping of a tebibyte
        assert close_code(bad) == 1002
        with suppress(ConnectionError):  # the server resets the connection after a second
            for _ in range(64):
                bad.sendall(bytes(MIB))
        assert visitor.site.peak_mib() - before < 10


def test_invalid_utf_8_closes_only_its_own_socket(web: Site, visitor: Visitor, tmp_path: Path) -> None:
    job = finished_job(visitor, tmp_path)
    with opened(visitor, f"/ws/jobs/{job}/") as bad:
        bad.sendall(frame(b'{"type": "sync", "after": "\xff\xfe"}'))
        assert close_code(bad) == 1007
        assert is_dropped(bad)
    with opened(visitor, f"/ws/jobs/{job}/", Origin="http://\xff\xfe") as bad:
        assert close_code(bad) == 1008
    with opened(visitor, f"/ws/jobs/{job}/", Cookie="sessionid=\xff\xfe") as bad:
        assert close_code(bad) == 4401
    with opened(visitor, "/ws/jobs/%ff%fe/") as bad:
        assert close_code(bad) == 4404
    with opened(visitor, f"/ws/jobs/{job}/?after=%ff%fe") as good:
        assert json.loads(message(good)[1])["type"] == "snapshot"
    assert is_unharmed(web)


# SIGTERM


async def closed_with(visitor: Visitor, job: str, handshakes: asyncio.Semaphore, are_open: asyncio.Semaphore) -> int:
    """Watch a job until the server closes the socket. Returns the close code."""
    cookie = {"Cookie": f"sessionid={visitor.http.cookies['sessionid']}"}
    url = f"ws{visitor.site.url[4:]}/ws/jobs/{job}/"
    options = {"open_timeout": 60, "ping_interval": None}
    async with handshakes:  # few at once, so that none exceeds the server's limit of ten seconds
        socket = await connect(url, additional_headers=cookie, origin=visitor.site.url, **options)  # type: ignore[arg-type]
    async with socket:
        await socket.recv()
        are_open.release()
        with pytest.raises(ConnectionClosed) as closed:
            async for _ in socket:
                pass
            await socket.recv()
    return closed.value.rcvd.code if closed.value.rcvd else 1006


async def test_viewers_under_load_are_closed_with_1012_when_the_server_stops(
    web: Site, visitor: Visitor, tmp_path: Path
) -> None:
    job = await asyncio.to_thread(running_job, visitor, tmp_path, words=400, pace=20)
    halves = [connected(web) for _ in range(5)]
    for half in halves:
        half.sendall(b"POST /uploads/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhalf of it")
    handshakes, are_open = asyncio.Semaphore(5), asyncio.Semaphore(0)
    async with asyncio.TaskGroup() as group:
        viewers = [group.create_task(closed_with(visitor, job, handshakes, are_open)) for _ in range(100)]
        for _ in viewers:
            await are_open.acquire()
        began = asyncio.get_running_loop().time()
        assert await asyncio.to_thread(web.stop) == 0
        assert asyncio.get_running_loop().time() - began < 10
    assert [viewer.result() for viewer in viewers] == [1012] * 100
    for half in halves:
        half.close()
    assert "Traceback" not in web.log()
