"""A second server for tests of Amazon's engine. For each connection, it runs a function that a test has given."""

import asyncio
import ssl
import tempfile
from pathlib import Path
from types import TracebackType

import trustme

from tests.interop.raw.peer import Peer, Play


class RawServer:
    """An async context manager that serves on this machine. The next of `plays` handles each connection."""

    def __init__(self, *plays: Play, host: str = "127.0.0.1", port: int = 0) -> None:
        self.plays = [*plays]
        self.peers: list[Peer] = []
        self.errors: list[BaseException] = []
        self._host, self._port = host, port
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def requests(self) -> int:
        return sum(bool(peer.request) for peer in self.peers)

    async def __aenter__(self) -> "RawServer":
        self._folder = tempfile.TemporaryDirectory(prefix="raw-server-")
        authority = trustme.CA()
        self.ca_file = str(Path(self._folder.name) / "ca.pem")
        authority.cert_pem.write_to_path(self.ca_file)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["h2"])
        authority.issue_cert("localhost", "transcribe.test").configure_cert(context)
        self._server = await asyncio.start_server(self._accept, self._host, self._port, ssl=context)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for peer in self.peers:
            peer.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._folder.cleanup()
        if self.errors and kind is None:
            raise self.errors[0]  # if the test failed itself, report only that error

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        play = self.plays[min(len(self.peers), len(self.plays) - 1)]
        self.peers.append(peer)
        for work in (peer.serve(), self._play(play, peer)):
            task = asyncio.create_task(work)
            self._tasks.add(task)

    async def _play(self, play: Play, peer: Peer) -> None:
        try:
            await play(peer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client has left, or the test has ended
        except BaseException as error:  # any error of a test's own function
            self.errors.append(error)
            peer.cut()
