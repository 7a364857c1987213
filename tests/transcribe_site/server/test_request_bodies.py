"""Bodies of requests: limits, full disks, chunked bodies and unreadable forms."""

import gc
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from asgiref.testing import ApplicationCommunicator

from tests import recordings
from tests.site import Site
from tests.visitor import Visitor
from transcribe_site.server.asgi_handler import Handler
from transcribe_site.server.bodies import DISK_FULL, Permit

MIB = 1024**2


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

    before = site.peak_mib()
    try:
        answer = visitor.http.post("/uploads/", content=body())
    except httpx.TransportError:
        pass  # the server closed the connection while the client still sent: also a refusal
    else:
        assert answer.status_code == 413
    assert site.peak_mib() - before < 80
    assert httpx.get(f"{site.url}/healthz", timeout=60).text == "ok\n"


def test_a_large_upload_and_a_client_that_reads_nothing_use_little_memory(site: Site, visitor: Visitor) -> None:
    """Unpatched daphne uses 13 bytes of memory per byte of a body, and buffers all data that a client does not read."""
    before = site.peak_mib()
    large = recordings.folder() / "large.wav"
    with open(recordings.tone(1.0), "rb") as second:
        header, sound = second.read(44), second.read()
    with open(large, "wb") as file:
        file.write(header)
        for _ in range(90 * MIB // len(sound)):
            file.write(sound)
    upload = visitor.upload(large)
    assert site.peak_mib() - before < 80

    host, port = site.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as idle:
        idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        cookie = f"sessionid={visitor.http.cookies['sessionid']}"
        request = f"GET /uploads/{upload}/audio/ HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {cookie}\r\n\r\n"
        idle.sendall(request.encode())
        assert idle.recv(1000).startswith(b"HTTP/1.1 200 ")
        # Meanwhile another client receives the whole file.
        assert len(visitor.http.get(f"/uploads/{upload}/audio/").content) == large.stat().st_size
    assert site.peak_mib() - before < 120
    large.unlink()


def test_an_invalid_upgrade_does_not_bypass_the_body_limits(site: Site, visitor: Visitor) -> None:
    before = site.peak_mib()
    headers = {"Upgrade": "foo", "X-CSRFToken": ""}
    answer = visitor.http.post("/accounts/login/", files={"file": bytes(60 * MIB)}, headers=headers)
    assert answer.status_code == 403
    assert site.peak_mib() - before < 80


def test_accepts_a_form_in_a_chunked_body(site: Site, visitor: Visitor) -> None:
    speech = recordings.speech("beckett").read_bytes()
    body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + speech + b"\r\n--x--\r\n"
    pieces = (body[start : start + 10_000] for start in range(0, len(body), 10_000))
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert visitor.http.post("/uploads/", content=pieces, headers=headers).status_code == 201
