"""Connecting to the service: several addresses, and a real proxy (proxy.py from PyPI)."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme

from streaming.engines.aws import network
from streaming.engines.base import EngineError
from tests.interop.raw.answers import transcribe
from tests.interop.raw.conftest import ALL, Point, Transcribe, lines
from tests.interop.raw.server import RawServer
from tests.site import wait_until

PATIENCE_SECONDS = 30.0


@contextmanager
def silent_address(host: str, port: int) -> Iterator[None]:
    """Listen without accepting: the accept queue is full, so that the kernel drops further connections."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex((host, port))
        yield


async def test_engine_connects_to_the_next_address_if_one_does_not_answer(
    point: Point, transcribed: Transcribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve: Any = socket.getaddrinfo

    def two_addresses(host: str | None, port: int, *arguments: Any, **options: Any) -> list[Any]:
        if host != "transcribe.test":
            return list(resolve(host, port, *arguments, **options))
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in ("127.0.0.2", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", two_addresses)
    async with RawServer(transcribe) as server:
        with silent_address("127.0.0.2", server.port):
            point(server, "transcribe.test")
            async with asyncio.timeout(10.0):  # less than the time limit of a start
                assert lines(await transcribed()) == ALL
            assert server.requests == 1


class Proxy:
    """proxy.py in a process of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.log = folder / "proxy.log"
        port_file = folder / "proxy.port"
        command = [sys.executable, "-m", "proxy", "--hostname", "127.0.0.1", "--port", "0"]
        command += ["--port-file", str(port_file), "--log-file", str(self.log), "--num-workers", "1", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)
        wait_until(
            lambda: port_file.exists() and port_file.read_text().strip(), PATIENCE_SECONDS, "a port of the proxy"
        )
        self.port = int(port_file.read_text())

    def tunnels(self, port: int) -> int:
        """Return how many tunnels to a port the proxy's log has."""
        return self.log.read_text().count(f"CONNECT localhost:{port}") if self.log.exists() else 0

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE_SECONDS)


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Callable[..., Proxy]]:
    started: list[Proxy] = []

    def proxy(*options: str) -> Proxy:
        started.append(Proxy(tmp_path, *options))
        return started[-1]

    yield proxy
    for each in started:
        each.end()


async def until_logged(proxy: Proxy, port: int) -> None:
    """Wait for the log line that the proxy writes when a tunnel is closed."""
    await asyncio.to_thread(wait_until, lambda: proxy.tunnels(port) == 1, PATIENCE_SECONDS, "a line in the proxy's log")


async def test_audio_goes_through_the_proxy_that_the_environment_names(
    point: Point, transcribed: Transcribe, proxy: Callable[..., Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    between = await asyncio.to_thread(proxy)
    async with RawServer(transcribe) as server:
        point(server)
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{between.port}")
        assert lines(await transcribed()) == ALL
        assert server.requests == 1
        await until_logged(between, server.port)


async def test_a_proxy_receives_the_user_name_and_password_of_its_address(
    point: Point, transcribed: Transcribe, proxy: Callable[..., Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    between = await asyncio.to_thread(proxy, "--basic-auth", "alice:open sesame")
    async with RawServer(transcribe) as server:
        point(server)
        monkeypatch.setenv("https_proxy", f"http://alice:open%20sesame@127.0.0.1:{between.port}")
        assert lines(await transcribed()) == ALL
        await until_logged(between, server.port)


async def test_a_refused_proxy_password_is_not_shown_in_the_error(
    point: Point, transcribed: Transcribe, proxy: Callable[..., Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    between = await asyncio.to_thread(proxy, "--basic-auth", "alice:secret")
    async with RawServer(transcribe) as server:
        point(server)
        monkeypatch.setenv("HTTPS_PROXY", f"http://alice:swordfish@127.0.0.1:{between.port}")
        with pytest.raises(EngineError) as caught:
            await transcribed()
        assert str(caught.value) == (
            f"The proxy http://127.0.0.1:{between.port} requires a user name and a password. Add them to "
            "HTTPS_PROXY, e.g. http://user:password@host:port."
        )
        assert caught.value.permanent
        assert server.peers == []


async def test_engine_uses_a_proxy_over_tls(
    point: Point,
    transcribed: Transcribe,
    proxy: Callable[..., Proxy],
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
    tmp_path: Path,
) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    between = await asyncio.to_thread(
        proxy, "--key-file", str(tmp_path / "key.pem"), "--cert-file", str(tmp_path / "cert.pem")
    )
    async with RawServer(transcribe) as server:
        point(server)
        authority.cert_pem.write_to_path(server.ca_file, append=True)
        settings.AWS_CA_BUNDLE = server.ca_file
        monkeypatch.setenv("HTTPS_PROXY", f"https://localhost:{between.port}")
        assert lines(await transcribed()) == ALL
        await until_logged(between, server.port)


async def test_engine_bypasses_the_proxy_for_hosts_in_no_proxy(
    point: Point, transcribed: Transcribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with RawServer(transcribe) as server:
        point(server)
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("NO_PROXY", "example.org,localhost")
        assert lines(await transcribed()) == ALL


async def test_an_unreachable_proxy_is_named_in_the_error(
    point: Point, transcribed: Transcribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.worker.retry.MOST_FAILURES", 1)
    async with RawServer(transcribe) as server:
        point(server)
        monkeypatch.setenv("HTTPS_PROXY", "http://user:swordfish@127.0.0.1:9")
        with pytest.raises(EngineError, match=r"^The proxy http://127\.0\.0\.1:9 can't be reached: ") as caught:
            await transcribed()
        assert not caught.value.permanent
        assert "swordfish" not in str(caught.value)


@pytest.mark.parametrize("address", ["socks5://127.0.0.1:1080", "http://:8080", "http://localhost:many"])
async def test_an_invalid_proxy_address_is_reported(
    point: Point, transcribed: Transcribe, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    async with RawServer(transcribe) as server:
        point(server)
        monkeypatch.setenv("HTTPS_PROXY", address)
        with pytest.raises(EngineError) as caught:
            await transcribed()
        advice = "Set HTTPS_PROXY to an address such as http://host:port."
        assert str(caught.value) == f"The proxy {address} can't be used. {advice}"
        assert caught.value.permanent


REFUSED = "refused the connection to Amazon Transcribe:"


@pytest.mark.parametrize(
    ("answer", "sentence", "is_permanent"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", f"{REFUSED} 403 Forbidden. Check the proxy's settings.", True),
        (
            b"HTTP/1.0 502 Bad Gateway\r\nA: b\r\n\r\nno",
            f"{REFUSED} 502 Bad Gateway. Check the proxy's settings.",
            False,
        ),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "does not speak HTTP. Check HTTPS_PROXY.", True),
        (b"HTTP/1.1 200", "did not answer: the proxy closed the connection. Try again later.", False),
        (b"", "did not answer: the proxy closed the connection. Try again later.", False),
    ],
    ids=["403", "502", "not HTTP", "cut", "closed"],
)
async def test_an_error_of_the_proxy_is_reported(
    point: Point,
    transcribed: Transcribe,
    monkeypatch: pytest.MonkeyPatch,
    answer: bytes,
    sentence: str,
    is_permanent: bool,
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    monkeypatch.setattr("streaming.worker.retry.MOST_FAILURES", 1)
    between = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{between.sockets[0].getsockname()[1]}"
    async with between, RawServer(transcribe) as server:
        point(server)
        monkeypatch.setenv("HTTPS_PROXY", address)
        with pytest.raises(EngineError) as caught:
            await transcribed()
        assert (str(caught.value), caught.value.permanent) == (f"The proxy {address} {sentence}", is_permanent)


async def test_engine_fails_if_the_proxy_does_not_answer(
    point: Point, transcribed: Transcribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.engines.aws.session.START_SECONDS", 1.0)
    monkeypatch.setattr("streaming.worker.retry.MOST_FAILURES", 1)
    connections: list[asyncio.StreamWriter] = []
    left = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        await reader.read()
        writer.close()
        left.set()

    between = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with between, RawServer(transcribe) as server:
        point(server)
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{between.sockets[0].getsockname()[1]}")
        with pytest.raises(EngineError, match="did not answer in time"):
            await transcribed()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await left.wait()
    assert connections


def test_an_ipv6_host_is_written_in_brackets() -> None:
    asked = network._request_for(urlsplit("http://p"), urlsplit("https://[::1]:8443/"))
    assert asked == b"CONNECT [::1]:8443 HTTP/1.1\r\nHost: [::1]:8443\r\n\r\n"
