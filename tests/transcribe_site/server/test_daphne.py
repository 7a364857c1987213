"""The server: refused requests and sockets, its memory, back-pressure, its start and its stop."""

import gc
import itertools
import json
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from asgiref.testing import ApplicationCommunicator
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests import recordings
from tests.served_site.test_site import status
from tests.site import Site, wait_until
from tests.visitor import Visitor, events
from transcribe_site.server.asgi_handler import Handler
from transcribe_site.server.bodies import DISK_FULL, Permit

MIB = 1024**2


@pytest.fixture
def visitor(site: Site) -> Iterator[Visitor]:
    with Visitor(site) as visitor:
        yield visitor


def test_refuses_a_body_above_the_limit_before_it_is_sent(site: Site) -> None:
    host, port = site.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(b"POST /uploads/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000000\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_answers_507_when_the_server_cannot_store_the_body(site: Site, visitor: Visitor) -> None:
    (site.folder / "incoming").rename(site.folder / "elsewhere")
    answer = visitor.http.post("/uploads/", content=bytes(4 * MIB))
    assert (answer.status_code, answer.json()) == (507, {"error": DISK_FULL.sentence})
    answer = visitor.http.post("/uploads/", content=bytes(4 * MIB), headers={"Accept": "text/html"})
    assert (answer.status_code, answer.text) == (507, DISK_FULL.sentence)
    assert "Could not store the body of a request" in site.log()


@pytest.mark.filterwarnings("ignore:Unclosed file")  # Django leaves its file to the garbage collector
async def test_answers_507_when_django_cannot_store_the_body(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/uploads/",
        "query_string": b"",
        "headers": [],
    }
    monkeypatch.setattr("transcribe_site.server.bodies.ANONYMOUS", Permit(5 * MIB, None))
    asking = ApplicationCommunicator(Handler(), scope)
    await asking.send_input({"type": "http.request", "body": bytes(4 * MIB), "more_body": True})
    assert (await asking.receive_output(timeout=60))["status"] == 507
    assert (await asking.receive_output(timeout=60))["body"] == DISK_FULL.sentence.encode()
    await asking.wait(timeout=60)
    gc.collect()


def test_an_unknown_encoding_is_a_bad_request(site: Site) -> None:
    for address in ("/healthz", "/accounts/login/"):
        headers = {"Content-Type": "multipart/form-data; charset*=bogus''x"}
        answer = httpx.post(site.url + address, headers=headers, timeout=60)
        assert (answer.status_code, answer.text) == (400, "The server could not read this request.")
    assert "Traceback" not in site.log()


def test_refuses_a_chunked_body_above_the_limit(site: Site, visitor: Visitor) -> None:
    def body() -> Iterator[bytes]:
        for _ in range(110):
            yield bytes(MIB)

    before = peak_mib(site)
    try:
        answer = visitor.http.post("/uploads/", content=body())
    except httpx.TransportError:
        pass  # the server closed the connection while the client still sent: also a refusal
    else:
        assert answer.status_code == 413
    assert peak_mib(site) - before < 80
    assert httpx.get(f"{site.url}/healthz", timeout=60).text == "ok\n"


def peak_mib(site: Site) -> float:
    assert site.process is not None
    lines = Path(f"/proc/{site.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def test_a_large_upload_and_a_client_that_reads_nothing_use_little_memory(site: Site, visitor: Visitor) -> None:
    """Unpatched daphne uses 13 bytes of memory per byte of a body, and buffers all data that a client does not read."""
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
    with socket.create_connection((host, int(port)), timeout=60) as idle:
        idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        cookie = f"sessionid={visitor.http.cookies['sessionid']}"
        request = f"GET /uploads/{upload}/audio/ HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {cookie}\r\n\r\n"
        idle.sendall(request.encode())
        assert idle.recv(1000).startswith(b"HTTP/1.1 200 ")
        # Meanwhile another client receives the whole file.
        assert len(visitor.http.get(f"/uploads/{upload}/audio/").content) == large.stat().st_size
    assert peak_mib(site) - before < 120
    large.unlink()


def test_a_viewer_that_reads_nothing_uses_no_memory_and_gets_all_finals_later(site: Site, visitor: Visitor) -> None:
    """Messages for a slow socket wait in the feed, where partials replace each other, not in the server's buffers."""
    job = visitor.start(visitor.upload(recordings.speech("beckett")))
    wait_until(lambda: status(site) == "completed", 90, "the end of the job")
    with visitor.watch(job) as idle, visitor.watch(job) as reader:
        before = peak_mib(site)
        for _ in range(3000):  # the server answers each with a snapshot of some KB; `idle` does not read them
            idle.send('{"type": "sync", "after": 0}')
            reader.send('{"type": "sync", "after": 0}')
            reader.recv(timeout=60)
        assert peak_mib(site) - before < 40
        assert next(events(idle))["type"] == "snapshot"


def test_answers_a_message_with_text_that_utf8_cannot_encode(site: Site, visitor: Visitor) -> None:
    upload = visitor.upload(recordings.speech("beckett"))
    with visitor.socket("/ws/stream/") as socket:
        for _ in range(2):
            socket.send('{"type": "start", "upload": "%s", "engine": "\\ud800"}' % upload)  # noqa: UP031
            assert next(events(socket))["type"] == "error"


def test_forgets_a_connection_that_is_lost_before_its_request(site: Site, visitor: Visitor) -> None:
    assert site.process is not None
    host, port = site.url.removeprefix("http://").split(":")
    descriptors = Path(f"/proc/{site.process.pid}/fd")
    before = len(list(descriptors.iterdir()))
    for _ in range(50):
        with socket.create_connection((host, int(port)), timeout=60) as connection:
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
            connect(f"ws{site.url[4:]}{path}", additional_headers=headers, origin=origin, open_timeout=60) as socket,  # type: ignore[arg-type]
            pytest.raises(ConnectionClosed) as closed,
        ):
            socket.recv(timeout=60)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == code


def test_healthz_answers_without_a_sign_in_and_everything_else_asks_for_one(site: Site) -> None:
    answer = httpx.get(f"{site.url}/healthz", headers={"Host": "of.a.load.balancer"}, timeout=60)
    assert (answer.status_code, answer.text) == (200, "ok\n")
    for address in ("/", "/jobs/", "/admin/", "/accounts/password/"):
        answer = httpx.get(f"{site.url}{address}", timeout=60)
        assert (answer.status_code, "login" in answer.headers.get("location", "")) == (302, True), address


def test_ignores_a_client_header_that_sets_the_root_path(site: Site, visitor: Visitor) -> None:
    """No proxy is trusted here, so any client could have sent these headers."""
    told = {
        "Daphne-Root-Path": "/evil",
        "Forwarded": "host=evil.example;proto=https",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Prefix": "/evil",
        "X-Forwarded-Proto": "https",
    }
    answer = httpx.get(site.url, headers=told, timeout=60)
    assert (answer.status_code, answer.headers["location"]) == (302, "/accounts/login/?next=/")
    page = visitor.http.get("/", headers=told | {"Accept": "text/html"}).text
    assert 'href="/jobs/"' in page
    assert "evil" not in page
    cookie = f"sessionid={visitor.http.cookies['sessionid']}"
    with (
        connect(
            f"ws{site.url[4:]}/ws/stream/",
            additional_headers=told | {"Cookie": cookie},
            origin=site.url.replace("http", "https", 1),  # type: ignore[arg-type]
            open_timeout=60,
        ) as socket,
        pytest.raises(ConnectionClosed) as closed,
    ):
        socket.recv(timeout=60)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008


def test_pages_have_a_strict_content_security_policy(site: Site, visitor: Visitor) -> None:
    policy = visitor.http.get("/", headers={"Accept": "text/html"}).headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy


def test_an_invalid_upgrade_does_not_bypass_the_body_limits(site: Site, visitor: Visitor) -> None:
    before = peak_mib(site)
    headers = {"Upgrade": "foo", "X-CSRFToken": ""}
    answer = visitor.http.post("/accounts/login/", files={"file": bytes(60 * MIB)}, headers=headers)
    assert answer.status_code == 403
    assert peak_mib(site) - before < 80


def test_accepts_a_form_in_a_chunked_body(site: Site, visitor: Visitor) -> None:
    speech = recordings.speech("beckett").read_bytes()
    body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + speech + b"\r\n--x--\r\n"
    pieces = (body[start : start + 10_000] for start in range(0, len(body), 10_000))
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert visitor.http.post("/uploads/", content=pieces, headers=headers).status_code == 201


def with_a_long_line(site: Site) -> None:
    wait_until(lambda: status(site) == "completed", 90, "the end of the job")
    database = sqlite3.connect(site.folder / "db.sqlite3", timeout=20)
    with database:
        database.execute("update streaming_segment set text = ? where seq = 1", ("a long line " * 100_000,))
    database.close()


def test_a_long_transcript_arrives_in_one_snapshot(site: Site, visitor: Visitor) -> None:
    job = visitor.start(visitor.upload(recordings.speech("beckett")))
    with_a_long_line(site)
    with visitor.watch(job) as viewer:
        snapshot = next(events(viewer))
    assert len(snapshot["segments"][0]["text"]) == 1_200_000


def test_a_long_message_is_sent_completely_although_the_viewer_requests_another(site: Site, visitor: Visitor) -> None:
    """Otherwise the next message would begin in the middle of this one, and the client could not parse the rest."""
    start = json.dumps({"type": "start", "upload": visitor.upload(recordings.speech("beckett")), "request_id": "one"})
    with visitor.socket("/ws/stream/") as socket:
        socket.send(start)
        assert next(events(socket))["type"] == "snapshot"
    with_a_long_line(site)
    with visitor.socket("/ws/stream/") as socket:
        socket.send(start)
        fragments = socket.recv_streaming(decode=True)
        begun = next(fragments)
        for _ in range(4):  # each ends the watch that the one before started; the client reads nothing yet
            socket.send(start)
            time.sleep(0.1)
        socket.send('{"type": "nothing"}')
        first = json.loads(begun + "".join(fragments))
        others = itertools.takewhile(lambda event: event["type"] != "error", events(socket))
        lengths = [len(one["segments"][0]["text"]) for one in [first, *others] if one["type"] == "snapshot"]
    assert set(lengths) == {1_200_000}


def test_an_unknown_socket_address_closes_the_socket_and_logs_no_error(site: Site) -> None:
    for path in ("/ws/nothing/", "/ws/jobs/not-a-uuid/"):
        with connect(f"ws{site.url[4:]}{path}", open_timeout=60) as nothing, pytest.raises(ConnectionClosed) as closed:
            nothing.recv(timeout=60)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4404
    assert "Traceback" not in site.log()


def test_a_server_stops_during_uploads(site: Site, visitor: Visitor) -> None:
    is_over = threading.Event()

    def send() -> None:
        while not is_over.is_set():
            try:
                visitor.upload(recordings.speech("two_cities"))
            except httpx.TransportError:
                return  # expected: the server has stopped

    sending = threading.Thread(target=send)
    sending.start()
    wait_until(lambda: list((site.folder / "media").rglob("*-*")), what="the first upload")
    try:
        site.stop()
    finally:
        is_over.set()
        sending.join()


def test_a_stopping_server_finishes_requests_and_refuses_new_connections(site: Site, visitor: Visitor) -> None:
    """A proxy sends a refused connection's request to another process, so no request fails during an upgrade."""
    host, port = site.url.removeprefix("http://").split(":")
    token = visitor.http.cookies["csrftoken"]
    head = (
        f"POST /accounts/login/ HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: csrftoken={token}\r\n"
        f"X-CSRFToken: {token}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    )
    body = b"username=admin&password=wonderland"
    with socket.create_connection((host, int(port)), timeout=60) as begun:
        begun.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:5])
        assert site.process is not None
        site.process.terminate()
        wait_until(lambda: refuses(host, int(port)), what="refusing new connections")
        begun.sendall(body[5:])
        answer = begun.recv(65536)
        assert answer.startswith(b"HTTP/1.1 302 ")
        assert b"\r\nConnection: close\r\n" in answer
    assert site.process.wait(timeout=60) == 0


def refuses(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) != 0
