"""daphne, mended where it would hurt. `manage.py serve` runs this.

As it comes, daphne takes a body of any length; then Twisted parses a form of it as an e-mail, for nobody, daphne puts
the whole of it on the application's queue, and it takes from the application whatever that sends without regard to
how fast the client reads. A hundred megabytes are seconds in which the event loop does nothing else, and 1.2 GB.
Here a body that is too long is refused before it is read, the others reach the application a piece at a time, and
an application that sends waits for the client.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple

import daphne.server
from daphne.http_protocol import HTTPFactory, WebRequest
from twisted.internet import defer
from twisted.internet import reactor as installed_reactor
from twisted.web.http import HTTPChannel

from transcribe_site.flow import Flow
from transcribe_site.handler import DISK_FULL
from transcribe_site.sockets import Receive, Socket, SocketFactory

logger = logging.getLogger(__name__)
reactor: Any = installed_reactor  # Twisted types it as each of its interfaces at a time

Scope = dict[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

PIECE_BYTES = 64 * 1024
IDLE_SECONDS = 60.0  # of a request that stops half way
HEAD_SECONDS = 60.0  # for all of a request's head, whatever arrives meanwhile
END_SECONDS = 5.0  # for applications that are cancelled at the end of the server
LINGER_SECONDS = 5.0  # a browser sees the refusal only if it may go on sending for a while
RESTARTING = 1012
READER = "transcribe_site.reader"  # in a scope: what makes the application's `receive` of daphne's


class SetAside:
    """What Twisted and daphne are shown instead of a body: an empty one."""

    closed = False

    def __init__(self, content: Any) -> None:
        self._content = content

    def seek(self, *_: int) -> None:
        pass

    def tell(self) -> int:
        return 0

    def read(self, *_: int) -> bytes:
        return b""

    def close(self) -> None:
        self._content.close()


class Refusal(NamedTuple):
    status: bytes
    sentence: bytes


TOO_LONG = Refusal(b"413 Content Too Large", b"The request is longer than this server takes.")
NO_ROOM = Refusal(b"507 Insufficient Storage", DISK_FULL.encode())


class Request(Flow, WebRequest):
    """A request that knows the longest body it may have, and says so when its disk takes no more of it."""

    content: Any
    set_aside: Any = None
    _is_refused = False

    def gotLength(self, length: int | None) -> None:
        self._left = self.channel.factory.server.max_body_bytes
        try:
            super().gotLength(length)
        except OSError as error:  # there is no file to be had for it
            self._refuse_for_disk(error)
            return
        if length is not None and length > self._left:
            self._refuse(TOO_LONG)

    def handleContentChunk(self, data: bytes) -> None:
        self._left -= len(data)
        if self._is_refused:
            return  # read, to be polite, but not kept
        if self._left < 0:
            self._refuse(TOO_LONG)  # a chunked body does not say its length before
            return
        try:
            super().handleContentChunk(data)
        except OSError as error:
            self._refuse_for_disk(error)

    def _refuse_for_disk(self, error: OSError) -> None:
        logger.error("A request's body can't be kept: %s", error)
        self.content = None  # its space is given back
        self._refuse(NO_ROOM)

    def _refuse(self, refusal: Refusal) -> None:
        self._is_refused = True
        lines = (b"HTTP/1.1 " + refusal.status, b"Content-Type: text/plain", b"Connection: close")
        head = b"\r\n".join([*lines, b"Content-Length: %d" % len(refusal.sentence), b"", b""])
        self.channel.transport.write(head + refusal.sentence)
        reactor.callLater(LINGER_SECONDS, self.channel.transport.abortConnection)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Take the body aside before Twisted parses it as a form and daphne puts it on its queue."""
        if self._is_refused:
            self.channel.transport.loseConnection()
            return
        # daphne takes the site's own address from this header, whoever sends it.
        self.requestHeaders.removeHeader(b"daphne-root-path")
        self.body_bytes = self.content.tell()
        self.set_aside, self.content = self.content, SetAside(self.content)
        self.set_aside.seek(0)
        super().requestReceived(command, path, version)

    def finish(self) -> None:
        self.let_go()
        super().finish()

    def connectionLost(self, reason: Any) -> None:
        self.let_go()
        super().connectionLost(reason)


class Channel(HTTPChannel):
    """A connection that waits so long for the head of a request. Twisted begins to wait anew at each byte of it."""

    _is_in_head = False

    def dataReceived(self, data: bytes) -> None:
        if self.line_mode and not self._is_in_head:
            self._is_in_head = True
            self._idle_seconds = self.setTimeout(HEAD_SECONDS)
        super().dataReceived(data)

    def resetTimeout(self) -> None:
        if not self._is_in_head:
            super().resetTimeout()

    def allHeadersReceived(self) -> None:
        self._is_in_head = False
        self.setTimeout(self._idle_seconds)
        super().allHeadersReceived()


class RequestFactory(HTTPFactory):
    protocol = Channel

    def buildProtocol(self, addr: Any) -> Any:
        protocol = super().buildProtocol(addr)
        protocol.requestFactory = Request
        protocol.timeOut = IDLE_SECONDS
        return protocol


def in_pieces(application: Application) -> Application:
    """Return an application that reads the bodies that were set aside, and messages as few as sockets let wait."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        read = scope.pop(READER, None)
        await application(scope, receive if read is None else read(receive), send)

    return call


def reader(content: Any, receive: Receive) -> Receive:
    """Return a `receive` that gives `content` in pieces, and then what daphne has to say."""
    is_read = False

    async def read() -> dict[str, Any]:
        nonlocal is_read
        if not is_read and not content.closed:
            piece = content.read(PIECE_BYTES)
            is_read = len(piece) < PIECE_BYTES
            await asyncio.sleep(0)  # others have their turn between two pieces
            return {"type": "http.request", "body": piece, "more_body": not is_read}
        while (message := await receive())["type"] == "http.request":
            pass  # daphne's own, of the body that it was not shown
        return message

    return read


class Server(daphne.server.Server):
    """`max_body_bytes` is the longest body of any request. `on_listening` gets the address; `on_stop` is awaited."""

    def __init__(
        self,
        application: Application,
        *,
        max_body_bytes: int,
        on_listening: Callable[[str, int], None],
        on_stop: Callable[[], Awaitable[None]],
        **options: Any,
    ) -> None:
        super().__init__(in_pieces(application), **options)
        self.max_body_bytes = max_body_bytes
        self._on_listening = on_listening
        self._on_stop = on_stop
        self.failure = ""  # why it could not listen

    def run(self) -> None:
        # There is no other way to choose them.
        daphne.server.HTTPFactory = RequestFactory
        daphne.server.WebSocketFactory = SocketFactory
        reactor.addSystemEventTrigger("before", "shutdown", self._stop)
        super().run()

    def listen_error(self, failure: Any) -> None:
        self.failure = failure.getErrorMessage().rstrip(".")
        self.stop()

    def listen_success(self, port: Any) -> None:
        super().listen_success(port)
        self._on_listening(port.getHost().host, port.getHost().port)

    def create_application(self, protocol: Any, scope: Scope) -> Any:
        content = getattr(protocol, "set_aside", None)
        if content is not None:
            scope[READER] = partial(reader, content)
            if not any(name == b"content-length" for name, _ in scope["headers"]):
                # A chunked body has come to its end: its length is known now, and Django asks for it.
                scope["headers"].append((b"content-length", b"%d" % protocol.body_bytes))
        if isinstance(protocol, Socket):
            scope[READER] = protocol.reader
        return super().create_application(protocol, scope)

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        if isinstance(protocol, Socket) and "text" in message and protocol.state != Socket.STATE_CONNECTING:
            if protocol.is_connected:  # else it is closing, and autobahn would raise
                await protocol.send_text(message["text"])
            return
        await super().handle_reply(protocol, message)
        is_more = message.get("more_body")
        # The connection may have ended, and been forgotten, while its application was still sending.
        connection = self.connections.get(protocol, {"disconnected": True})
        if is_more and isinstance(protocol, Flow) and "disconnected" not in connection:
            await protocol.drained()

    def kill_all_applications(self) -> defer.Deferred:
        """Cancel all applications and wait for their ends. daphne's own fails at a request that has none yet."""
        instances = [details.get("application_instance") for details in self.connections.values()]
        running = [instance for instance in instances if instance is not None and not instance.done()]
        for instance in running:
            instance.cancel()
        ends = asyncio.wait(running, timeout=END_SECONDS) if running else asyncio.sleep(0)
        return defer.Deferred.fromFuture(asyncio.ensure_future(ends))

    def _stop(self) -> defer.Deferred:
        """Tell the viewers that they may come again, then let the jobs go."""
        for protocol in self.connections:
            if isinstance(protocol, Socket) and protocol.is_connected:
                protocol.serverClose(RESTARTING)
        return defer.Deferred.fromFuture(asyncio.ensure_future(self._on_stop()))
