"""Request bodies: the server stores no large body of an anonymous client, and waits for no body without a limit."""

import json
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.faults.raw_clients import connected
from tests.postgres import Postgres
from tests.recordings import numbers
from tests.site import Site
from tests.visitor import Visitor

MIB = 1024**2
SIGNED_OUT = {"error": "You are signed out. Sign in and try again."}
TOO_SLOW = {"error": "The request arrived too slowly. Check the connection and try again."}


@pytest.fixture(params=["daphne", "uvicorn"])
def server(request: pytest.FixtureRequest, new_site: Callable[..., Site]) -> Site:
    """A running site on each server."""
    site = new_site(DJANGO_SETTINGS_MODULE="tests.served", TRANSCRIBE_RUN_JOBS="0")
    if request.param == "daphne":
        site.start()
    else:
        site.start_uvicorn()
    return site


def head(length: int | None, *lines: str) -> bytes:
    body = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    standard = ("POST /uploads/ HTTP/1.1", "Host: localhost", "Accept: application/json", body)
    return "\r\n".join([*standard, *lines, "", ""]).encode()


def credentials(visitor: Visitor) -> tuple[str, str]:
    cookie = "; ".join(f"{name}={value}" for name, value in visitor.http.cookies.items())
    return f"Cookie: {cookie}", f"X-CSRFToken: {visitor.http.cookies['csrftoken']}"


def is_uvicorn(site: Site) -> bool:
    return site.process is not None and "uvicorn" in site.process.args  # type: ignore[operator]


def refused(server: Site, request: bytes, chunk: Callable[[bytes], bytes] = bytes) -> tuple[int, dict[str, str]]:
    """Send request headers and 90 MiB of body, or as much as the server reads. Returns the response."""
    with connected(server) as connection:
        connection.sendall(request)
        sending = threading.Thread(target=send_until_closed, args=(connection, 90, chunk))
        sending.start()
        try:
            return answer(connection)
        except ConnectionError:
            assert is_uvicorn(server), "only uvicorn closes at once, so that the client may miss the response"
            return 401, SIGNED_OUT
        finally:
            with suppress(OSError):  # the server has already closed it
                connection.shutdown(socket.SHUT_RDWR)
            sending.join()


def answer(connection: socket.socket) -> tuple[int, dict[str, str]]:
    """Return the status and the JSON of a response."""
    received = b""
    while b"\r\n\r\n" not in received or not received.endswith(b"}"):
        piece = connection.recv(65536)
        assert piece, f"the connection ended after {received!r}"
        received += piece
    return int(received.split(b" ", 2)[1]), json.loads(received[received.index(b"{") :])


def written_bytes(site: Site) -> int:
    """Return how many bytes the process has written to files and sockets so far."""
    assert site.process is not None
    lines = Path(f"/proc/{site.process.pid}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar"))


def test_the_server_stores_nothing_from_twelve_anonymous_bodies_of_90_mib(server: Site) -> None:
    before = written_bytes(server)

    def send(number: int) -> tuple[int, dict[str, str]]:
        cookie = ["Cookie: sessionid=0123456789abcdefghijklmnopqrstuv"] if number % 2 else []
        return refused(server, head(90 * MIB, *cookie))

    with ThreadPoolExecutor(12) as together:
        assert list(together.map(send, range(12))) == [(401, SIGNED_OUT)] * 12
    assert written_bytes(server) - before < MIB


def send_until_closed(connection: socket.socket, mib: int, chunk: Callable[[bytes], bytes] = bytes) -> None:
    try:
        for _ in range(mib):
            connection.sendall(chunk(bytes(MIB)))
    except OSError:
        pass  # the server has closed the connection, as expected


def test_refuses_an_anonymous_chunked_body_after_64_kib(server: Site) -> None:
    before = written_bytes(server)
    chunked = refused(server, head(None), lambda piece: b"%x\r\n%s\r\n" % (len(piece), piece))
    assert chunked == (401, SIGNED_OUT)
    assert written_bytes(server) - before < MIB


def test_refuses_a_large_body_with_the_cookie_of_an_ended_session(server: Site) -> None:
    with Visitor(server) as visitor:
        kept = credentials(visitor)
        visitor.http.post("/accounts/logout/")
    with connected(server) as connection:
        connection.sendall(head(70_000, *kept))
        assert answer(connection) == (401, SIGNED_OUT)


def test_an_anonymous_body_that_waits_for_100_continue_gets_only_the_refusal(server: Site) -> None:
    """A client that sends `Expect: 100-continue`, as curl does, gets only the refusal."""
    with connected(server) as connection:
        connection.sendall(head(90 * MIB, "Expect: 100-continue"))
        assert answer(connection) == (401, SIGNED_OUT)


def test_accepts_an_upload_with_and_without_content_length(server: Site, tmp_path: Path) -> None:
    recording = numbers(tmp_path / "numbers.wav", 400)  # 6 MB
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    body = form + recording.read_bytes() + b"\r\n--x--\r\n"
    with Visitor(server) as visitor:
        upload = visitor.upload(recording)
        assert visitor.http.get(f"/uploads/{upload}/audio/").content == recording.read_bytes()
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        pieces = (body[start : start + 100_000] for start in range(0, len(body), 100_000))
        if not is_uvicorn(server):
            assert visitor.http.post("/uploads/", content=pieces, headers=headers).status_code == 201
        # Bytes that the server reads together with the headers belong to the body.
        with connected(server) as connection:
            connection.sendall(
                head(len(body), *credentials(visitor), "Content-Type: multipart/form-data; boundary=x") + body[:5000]
            )
            connection.sendall(body[5000:])
            assert answer(connection)[0] == 201


def test_refuses_a_body_that_is_too_long_in_the_clients_format(server: Site) -> None:
    with connected(server) as connection:
        connection.sendall(head(5_000_000_000))
        assert answer(connection) == (413, {"error": "This request is longer than the server accepts."})
    text = httpx.post(f"{server.url}/uploads/", content=bytes(70_000), timeout=60)
    assert (text.status_code, text.text) == (401, SIGNED_OUT["error"])


# The sites of `short_timeouts` wait 3 s for a short body. They measure the rate of a long one over 2 s, after 1 s.


@pytest.fixture(params=["daphne", "uvicorn"])
def short_timeout_server(request: pytest.FixtureRequest, new_site: Callable[..., Site]) -> Site:
    site = new_site(DJANGO_SETTINGS_MODULE="tests.served", TRANSCRIBE_RUN_JOBS="0")
    if request.param == "daphne":
        site.start(program=("-m", "tests.faults.short_timeouts"))
    else:
        site.start_uvicorn("--factory", "tests.faults.short_timeouts:application")
    return site


def send_evenly(connection: socket.socket, bytes_a_second: int, until: Callable[[], bool]) -> None:
    try:
        while not until():
            connection.sendall(bytes(bytes_a_second // 20))
            time.sleep(0.05)
    except OSError:
        pass  # the server has refused the request and closed the connection


def test_a_short_body_that_does_not_end_times_out(short_timeout_server: Site) -> None:
    with connected(short_timeout_server) as connection:
        connection.sendall(head(60_000))
        is_over = threading.Event()
        sending = threading.Thread(target=send_evenly, args=(connection, 2000, is_over.is_set))
        sending.start()
        assert answer(connection) == (408, TOO_SLOW)
        is_over.set()
        sending.join()


def test_a_long_body_that_arrives_too_slowly_times_out(short_timeout_server: Site) -> None:
    with Visitor(short_timeout_server) as visitor, connected(short_timeout_server) as connection:
        connection.sendall(head(90 * MIB, *credentials(visitor)))
        is_over = threading.Event()
        sending = threading.Thread(target=send_evenly, args=(connection, 8 * 1024, is_over.is_set))
        sending.start()
        assert answer(connection) == (408, TOO_SLOW)
        is_over.set()
        sending.join()


def test_accepts_a_long_body_at_twice_the_lowest_rate(short_timeout_server: Site, tmp_path: Path) -> None:
    recording = numbers(tmp_path / "numbers.wav", 20).read_bytes()  # 320 KB: 10 s
    body = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + recording + b"\r\n--x--\r\n"
    )
    with Visitor(short_timeout_server) as visitor, connected(short_timeout_server) as connection:
        connection.sendall(head(len(body), *credentials(visitor), "Content-Type: multipart/form-data; boundary=x"))
        for start in range(0, len(body), 1600):
            connection.sendall(body[start : start + 1600])
            time.sleep(0.05)
        assert answer(connection)[0] == 201


@pytest.fixture
def database(postgres: Postgres) -> str:
    return postgres.create_database(f"bodies_{uuid4().hex}").rpartition("/")[2]


@pytest.fixture
def postgres_site(new_site: Callable[..., Site], postgres: Postgres, database: str) -> Site:
    url = postgres.url(database)
    site = new_site(DJANGO_SETTINGS_MODULE="tests.served", TRANSCRIBE_RUN_JOBS="0", DATABASE_URL=url)
    site.manage("migrate", "--verbosity", "0")
    site.manage("ensure_admin")
    site.start()
    return site


def test_requests_whose_bodies_are_incomplete_hold_no_database_connection(postgres_site: Site) -> None:
    """Send more bodies at once than the pool has connections (16)."""
    with Visitor(postgres_site) as visitor:
        senders = []
        for _ in range(20):
            senders.append(connected(postgres_site))
            senders[-1].sendall(head(90 * MIB, *credentials(visitor), "Expect: 100-continue"))
            assert senders[-1].recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
            senders[-1].sendall(bytes(MIB))
        began = time.monotonic()
        assert visitor.http.get("/", headers={"Accept": "text/html"}).status_code == 200
        assert time.monotonic() - began < 4.0, "the pool waits 5 s for a connection"
        for sender in senders:
            sender.close()


def test_a_blocked_session_check_is_answered_with_503_and_blocks_no_other_request(
    postgres_site: Site, postgres: Postgres, database: str
) -> None:
    with (
        Visitor(postgres_site) as visitor,
        connected(postgres_site) as connection,
        postgres.connect(database) as other,
        other.transaction(),
    ):
        other.execute("lock table django_session in access exclusive mode")
        connection.sendall(head(70_000, *credentials(visitor)))
        began = time.monotonic()
        assert httpx.get(f"{postgres_site.url}/healthz", timeout=60).text == "ok\n"
        assert time.monotonic() - began < 1.0, "the blocked session check should not block other requests"
        assert answer(connection)[0] == 503
