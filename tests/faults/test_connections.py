"""Idle connections: no number of them blocks other clients, and each address gets only a limited number."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.faults.conftest import connections, is_unharmed
from tests.site import ROOT, Site, wait_until
from tests.visitor import Visitor, events
from transcribe_site.server.connections import ADDRESS_CONNECTIONS

HALVES = (
    b"",
    b"GET / HTTP/1.1\r\nHost: loc",
    b"POST /accounts/login/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhalf",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",  # the server answers it and keeps the connection alive
)


def limited(site: Site, soft: int, hard: int) -> None:
    """Start a site whose process has these limits of open file descriptors."""
    start = (
        f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard})); "
        f"os.execv(sys.executable, [sys.executable, {str(ROOT / 'manage.py')!r}, 'serve'])"
    )
    site.start(program=("-c", start))


@contextmanager
def idle(site: Site, count: int, *sources: str) -> Iterator[list[socket.socket]]:
    """Open `count` connections, from the addresses `sources` in turn, that send nothing or half a request."""
    address = urlsplit(site.url)
    assert address.hostname is not None
    with ExitStack() as stack:
        opened = []
        for number in range(count):
            one = stack.enter_context(socket.socket())
            one.bind((sources[number % len(sources)], 0))
            one.settimeout(10)
            one.connect((address.hostname, address.port))
            try:
                one.sendall(HALVES[number // len(sources) % len(HALVES)])
            except ConnectionError:
                continue  # the server closed it in favour of a newer one, or did not accept it
            opened.append(one)
        yield opened


def test_1100_idle_connections_from_one_address_do_not_block_other_clients(new_site: Callable[..., Site]) -> None:
    site = new_site(DJANGO_SETTINGS_MODULE="tests.served")
    limited(site, 256, 4096)  # a low soft limit, as shells have it: the site raises it
    with Visitor(site) as visitor, visitor.socket("/ws/stream/") as stream:
        before = connections(site)
        with idle(site, 1100, "127.0.0.1"):
            began = time.monotonic()
            assert httpx.get(f"{site.url}/healthz", timeout=10).text == "ok\n"
            assert httpx.get(f"{site.url}/accounts/login/", timeout=10).status_code == 200
            assert visitor.http.get("/", headers={"Accept": "text/html"}).status_code == 200
            assert time.monotonic() - began < 5.0
            wait_until(lambda: connections(site) <= before + ADDRESS_CONNECTIONS + 5, what="closing the oldest")
            stream.send('{"type": "nothing"}')
            assert next(events(stream))["type"] == "error", "a socket of a signed-in person stays open"
        assert is_unharmed(site)


def test_idle_connections_from_many_addresses_leave_room_for_signed_in_people(new_site: Callable[..., Site]) -> None:
    site = new_site(DJANGO_SETTINGS_MODULE="tests.served")
    limited(site, 256, 600)
    with Visitor(site) as visitor, visitor.socket("/ws/stream/") as stream:
        with idle(site, 1000, *(f"127.0.0.{number}" for number in range(2, 12))):
            for _ in range(5):
                assert httpx.get(f"{site.url}/healthz", timeout=10).text == "ok\n"
                assert httpx.get(f"{site.url}/jobs/", cookies=visitor.http.cookies, timeout=10).status_code == 200
            assert connections(site) < 400
            stream.send('{"type": "nothing"}')
            assert next(events(stream))["type"] == "error"
        assert is_unharmed(site)


def test_the_site_raises_its_soft_limit_of_file_descriptors(new_site: Callable[..., Site]) -> None:
    site = new_site(DJANGO_SETTINGS_MODULE="tests.served")
    limited(site, 200, 2000)
    assert site.process is not None
    limits = Path(f"/proc/{site.process.pid}/limits").read_text()
    (line,) = [line for line in limits.splitlines() if line.startswith("Max open files")]
    assert line.split()[3:5] == ["2000", "2000"]


def test_behind_a_trusted_proxy_each_client_has_its_own_limit(new_site: Callable[..., Site]) -> None:
    """Slow requests of one client through the proxy do not use up the connections of other clients."""
    site = new_site(DJANGO_SETTINGS_MODULE="tests.served", TRANSCRIBE_TRUSTED_PROXIES="127.0.0.0/8")
    site.start()
    address = urlsplit(site.url)
    slow = b"POST /accounts/login/ HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 203.0.113.5, %s\r\n"
    slow += b"Content-Length: 1000\r\n\r\nhalf"

    def is_closed(connection: socket.socket) -> bool:
        connection.settimeout(0.0)
        try:
            return connection.recv(1) == b""
        except BlockingIOError:
            return False
        except ConnectionError:
            return True

    with ExitStack() as stack:

        def send(client: bytes) -> socket.socket:
            assert address.hostname is not None
            one = stack.enter_context(socket.create_connection((address.hostname, address.port), timeout=10))
            one.sendall(slow % client)
            return one

        other = send(b"198.51.100.1")
        attacker = [send(b"198.51.100.%d" % 7) for _ in range(ADDRESS_CONNECTIONS + 50)]
        wait_until(lambda: sum(map(is_closed, attacker)) == 50, what="closing the attacker's oldest")
        assert not is_closed(other)
        assert [is_closed(one) for one in attacker[-ADDRESS_CONNECTIONS:]] == [False] * ADDRESS_CONNECTIONS
        answer = httpx.get(f"{site.url}/healthz", headers={"X-Forwarded-For": "198.51.100.7"}, timeout=10)
        assert answer.status_code == 200
