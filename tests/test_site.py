"""The served site, as it is run: what survives its death, and what it refuses before it hurts."""

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests import recordings
from tests.site import Site, wait_until
from tests.streaming.test_local import LARGEST_ERROR, TWO_CITIES, word_error_rate
from tests.visitor import Visitor, events, rows

MIB = 1024**2


def segments(site: Site) -> list[tuple[int, float, float, str]]:
    return rows(site, "select seq, start_time, end_time, text from streaming_segment order by seq")  # type: ignore[return-value]


def status(site: Site) -> str:
    return str(rows(site, "select status from streaming_job")[0][0])


def assert_whole(site: Site) -> None:
    """Every word of the recording once, in order, and the numbers without a gap."""
    stored = segments(site)
    assert [row[0] for row in stored] == list(range(1, len(stored) + 1))
    assert [row[1] for row in stored] == sorted(row[1] for row in stored)
    assert word_error_rate(TWO_CITIES, " ".join(row[3] for row in stored)) <= LARGEST_ERROR["two_cities"] + 0.03


@pytest.fixture
def visitor(site: Site) -> Iterator[Visitor]:
    with Visitor(site) as visitor:
        yield visitor


def test_a_job_that_was_killed_with_its_server_ends_complete_after_the_restart(site: Site, visitor: Visitor) -> None:
    job = visitor.start(visitor.upload(recordings.speech("two_cities")))
    wait_until(lambda: len(segments(site)) >= 3, 60, "the third final")
    site.kill()
    kept = segments(site)
    assert status(site) == "running"
    site.start(port=int(site.url.rsplit(":", 1)[1]))
    began = time.monotonic()
    with visitor.watch(job, after=len(kept)) as viewer:
        for event in events(viewer):
            if event.get("job", {}).get("status") == "completed":
                break
            if event["type"] == "final" and event["seq"] == len(kept) + 1:
                taken_up_after = time.monotonic() - began
    assert segments(site)[: len(kept)] == kept
    assert_whole(site)
    assert taken_up_after < 20, "without waiting for the lease"


def test_a_server_that_is_stopped_hands_its_job_back_and_tells_the_viewers_to_come_again(
    site: Site, visitor: Visitor
) -> None:
    job = visitor.start(visitor.upload(recordings.speech("two_cities")))
    with visitor.watch(job) as viewer:
        for event in events(viewer):
            if event["type"] == "final":
                break
        began = time.monotonic()
        assert site.stop() == 0
        assert time.monotonic() - began < 10
        with pytest.raises(ConnectionClosed) as closed:
            for _ in events(viewer):
                pass
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    assert status(site) == "queued"
    assert "Traceback" not in site.log()
    site.start()
    wait_until(lambda: status(site) == "completed", 90, "the end of the job")
    assert_whole(site)
    assert list(site.folder.glob("workers/*/*.pcm")) == []


def test_two_processes_on_redis_show_the_same(new_site: Callable[..., Site], redis_url: str) -> None:
    worker = new_site(REDIS_URL=redis_url)
    worker.start()
    web = new_site(REDIS_URL=redis_url, TRANSCRIBE_RUN_JOBS="0", TRANSCRIBE_DATA_DIR=str(worker.folder))
    web.start()
    with Visitor(worker) as here, Visitor(web) as there:
        seen, partials = watch_both(here, there)
    stored = {seq: text for seq, _, _, text in segments(worker)}
    assert seen == [stored, stored]
    assert partials > 0


def test_uvicorn_and_a_worker_of_its_own_show_the_same(new_site: Callable[..., Site], redis_url: str) -> None:
    web = new_site(REDIS_URL=redis_url)
    web.start_uvicorn()
    worker = new_site(REDIS_URL=redis_url, TRANSCRIBE_DATA_DIR=str(web.folder))
    worker.start_worker()
    with Visitor(web) as here, Visitor(web) as there:
        seen, partials = watch_both(here, there)
    stored = {seq: text for seq, _, _, text in segments(web)}
    assert seen == [stored, stored]
    assert partials > 0
    assert worker.stop() == 0
    assert "Traceback" not in web.log() + worker.log()


def watch_both(here: Visitor, there: Visitor) -> tuple[list[dict[int, str]], int]:
    """Return what each viewer has at the end of a job, the second having come after it, and how many partials came."""
    job = there.start(there.upload(recordings.speech("beckett")))
    seen: list[dict[int, str]] = []
    partials = 0
    for viewer in (there, here):
        finals: dict[int, str] = {}
        with viewer.watch(job) as watched:
            for event in events(watched):
                partials += event["type"] == "partial"
                for segment in event.get("segments", []) if event["type"] == "snapshot" else []:
                    finals[segment["seq"]] = segment["text"]
                if event["type"] == "final":
                    finals[event["seq"]] = event["segment"]["text"]
                if event.get("job", {}).get("status") == "completed":
                    break
        seen.append(finals)
    return seen, partials


def test_a_body_that_is_too_long_is_refused_before_it_is_sent(site: Site) -> None:
    host, port = site.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"POST /uploads/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000000\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_does_not_say_how_long_it_is_is_refused_when_it_is_too_long(site: Site) -> None:
    def body() -> Iterator[bytes]:
        for _ in range(110):
            yield bytes(MIB)

    before = peak_mib(site)
    try:
        answer = httpx.post(f"{site.url}/uploads/", content=body(), timeout=60)
    except httpx.TransportError:
        pass  # the connection was cut while we still sent, which is a refusal as well
    else:
        assert answer.status_code == 413
    assert peak_mib(site) - before < 80
    assert httpx.get(f"{site.url}/healthz").text == "ok\n"


def peak_mib(site: Site) -> float:
    assert site.process is not None
    lines = Path(f"/proc/{site.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def test_a_large_upload_and_a_reader_who_does_not_read_cost_little_memory(site: Site, visitor: Visitor) -> None:
    """daphne as it comes takes 13 bytes of memory for each that is sent, and buffers all that is not read."""
    before = peak_mib(site)
    large = recordings.folder() / "large.wav"
    with open(recordings.tone(1.0), "rb") as second:
        header, sound = second.read(44), second.read()
    with open(large, "wb") as file:
        file.write(header)
        for _ in range(90 * MIB // len(sound)):
            file.write(sound)
    upload = visitor.upload(large)
    assert peak_mib(site) - before < 80

    host, port = site.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as idle:
        idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        cookie = f"sessionid={visitor.http.cookies['sessionid']}"
        request = f"GET /uploads/{upload}/audio/ HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {cookie}\r\n\r\n"
        idle.sendall(request.encode())
        assert idle.recv(1000).startswith(b"HTTP/1.1 200 ")
        # Another reader gets all of it meanwhile.
        assert len(visitor.http.get(f"/uploads/{upload}/audio/").content) == large.stat().st_size
    assert peak_mib(site) - before < 120
    large.unlink()


def test_a_viewer_who_does_not_read_costs_no_memory_and_gets_all_finals_later(site: Site, visitor: Visitor) -> None:
    """What waits for a socket waits in the feed, where partials replace each other, and not in the server's buffers."""
    job = visitor.start(visitor.upload(recordings.speech("beckett")))
    wait_until(lambda: status(site) == "completed", 90, "the end of the job")
    with visitor.watch(job) as idle, visitor.watch(job) as reader:
        before = peak_mib(site)
        for _ in range(3000):  # each is answered by a snapshot of some KB, which `idle` does not read
            idle.send('{"type": "sync", "after": 0}')
            reader.send('{"type": "sync", "after": 0}')
            reader.recv(timeout=30)
        assert peak_mib(site) - before < 40
        assert next(events(idle))["type"] == "snapshot"


def test_a_message_that_no_socket_can_carry_back_is_answered_all_the_same(site: Site, visitor: Visitor) -> None:
    upload = visitor.upload(recordings.speech("beckett"))
    cookie = {"Cookie": f"sessionid={visitor.http.cookies['sessionid']}"}
    with connect(f"ws{site.url[4:]}/ws/stream/", additional_headers=cookie, origin=site.url) as socket:  # type: ignore[arg-type]
        for _ in range(2):
            socket.send('{"type": "start", "upload": "%s", "engine": "\\ud800"}' % upload)  # noqa: UP031
            assert next(events(socket))["type"] == "error"


def test_a_connection_that_is_cut_before_it_has_asked_is_forgotten(site: Site, visitor: Visitor) -> None:
    assert site.process is not None
    host, port = site.url.removeprefix("http://").split(":")
    descriptors = Path(f"/proc/{site.process.pid}/fd")
    before = len(list(descriptors.iterdir()))
    for _ in range(50):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: loc")
    wait_until(lambda: len(list(descriptors.iterdir())) <= before + 2, what="forgetting the connections")
    assert "Traceback" not in site.log()


def test_every_close_code_reaches_the_browser(site: Site, visitor: Visitor) -> None:
    cookie = {"Cookie": f"sessionid={visitor.http.cookies['sessionid']}"}
    path = f"/ws/jobs/{uuid4()}/"
    for headers, origin, code in (
        ({}, site.url, 4401),
        (cookie, site.url, 4404),
        (cookie, "http://evil.example", 1008),
    ):
        with (
            connect(f"ws{site.url[4:]}{path}", additional_headers=headers, origin=origin) as socket,  # type: ignore[arg-type]
            pytest.raises(ConnectionClosed) as closed,
        ):
            socket.recv(timeout=10)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == code


def test_healthz_answers_without_a_sign_in_and_everything_else_asks_for_one(site: Site) -> None:
    answer = httpx.get(f"{site.url}/healthz", headers={"Host": "of.a.load.balancer"})
    assert (answer.status_code, answer.text) == (200, "ok\n")
    for address in ("/", "/jobs/", "/admin/", "/accounts/password/"):
        answer = httpx.get(f"{site.url}{address}")
        assert (answer.status_code, "login" in answer.headers.get("location", "")) == (302, True), address


def test_pages_forbid_what_they_do_not_need(site: Site, visitor: Visitor) -> None:
    policy = visitor.http.get("/", headers={"Accept": "text/html"}).headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
