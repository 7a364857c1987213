"""The server: addresses without a sign-in, headers, lost connections, and stopping."""

import socket
import threading
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests import recordings
from tests.site import Site, wait_until
from tests.visitor import Visitor


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
