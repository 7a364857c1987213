"""The HTTP side of `daphne.py`: checks requests before it stores their bodies, and times out slow ones."""

import asyncio
import logging
from http import HTTPStatus
from io import BytesIO
from typing import Any

from daphne.http_protocol import HTTPFactory, WebRequest
from twisted.internet import reactor as installed_reactor
from twisted.web.http import HTTPChannel

from transcribe_site import client_address
from transcribe_site.server import bodies, multipart
from transcribe_site.server.backpressure import Flow
from transcribe_site.server.bodies import (
    ANONYMOUS,
    DISK_FULL,
    TOO_SLOW,
    BodyRefused,
    Headers,
    Permit,
    RateMonitor,
    Refusal,
)
from transcribe_site.server.connections import Connections, Seat
from transcribe_site.server.empty_body import EmptyBody
from transcribe_site.server.multipart import Form

logger = logging.getLogger(__name__)
reactor: Any = installed_reactor  # Twisted's types know only one of its interfaces at a time

IDLE_SECONDS = 60.0  # for a request whose data stops arriving
HEAD_SECONDS = 60.0  # for a complete request head, even if its bytes keep arriving
# Keep reading a refused body for this long: a browser whose upload is cut off does not show the answer.
LINGER_SECONDS = 5.0


class Request(Flow, WebRequest):
    """A request with limits on the length and rate of its body. A refusal is a sentence for the user."""

    content: Any
    channel: Any
    allowed: Permit = ANONYMOUS
    is_refused = False
    _rate: RateMonitor | None = None
    _line: tuple[bytes, bytes, bytes] | None = None  # command, path and version, once all of the body has arrived

    @property
    def headers(self) -> Headers:
        """The headers as in an ASGI scope."""
        return [(name.lower(), value) for name, values in self.requestHeaders.getAllRawHeaders() for value in values]

    def gotLength(self, length: int | None) -> None:
        self._left = self.allowed.max_bytes
        if self.is_refused:
            return
        if length != 0:
            self._rate = RateMonitor(lambda: self.refuse(TOO_SLOW), is_signed_in=self.allowed.is_signed_in)
        sender_id = self.allowed.sender_id
        if sender_id is None:
            self.content = BytesIO()  # never a file: an anonymous sender must not occupy disk
            return
        command = self.channel._command  # `method` is set later
        form = multipart.begin(command, self.headers, length, sender_id, self._form_is_full, self._form_is_parsed)
        if form is not None:
            self.content = form
            return
        try:
            super().gotLength(length)
        except OSError as error:  # no file could be created
            self._refuse_for_disk(error)

    def handleContentChunk(self, data: bytes) -> None:
        if self.is_refused:
            return  # reading on lets the client see the answer; the data is dropped
        self._left -= len(data)
        if self._left < 0:
            self.refuse(self.allowed.refusal)  # a chunked body declares no length in advance
            return
        if self._rate is not None:
            self._rate.received(len(data))
        try:
            super().handleContentChunk(data)
        except OSError as error:
            self._refuse_for_disk(error)

    def _form_is_full(self, is_full: bool) -> None:
        if self.channel is not None:  # None after the connection was lost
            self.channel.pause() if is_full else self.channel.resume()

    def _form_is_parsed(self) -> None:
        if isinstance(error := self.content.error, OSError):
            self._refuse_for_disk(error)
        if self._line is not None:
            self._begin(*self._line)

    def _refuse_for_disk(self, error: OSError) -> None:
        logger.error("Could not store the body of a request: %s", error)
        self.refuse(DISK_FULL)

    def refuse(self, refusal: Refusal) -> None:
        """Answer at once, and close the connection after the client has had time to read the answer."""
        self.is_refused = True
        self._end_rate()
        if self.content is not None:
            self.content.close()  # frees the disk space
        self.content = BytesIO()
        answer = refusal.response(self.headers)
        lines = [f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in answer.items()]
        self.channel.transport.write("\r\n".join([*lines, "", ""]).encode("latin-1") + answer.content)
        reactor.callLater(LINGER_SECONDS, self.channel.transport.abortConnection)

    def _end_rate(self) -> None:
        if self._rate is not None:
            self._rate.end()
            self._rate = None

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Pass the request on once its body is complete, and once a form in it is parsed."""
        self._end_rate()
        self._line = command, path, version
        if isinstance(self.content, Form) and not self.content.is_parsed:
            self.content.end()
        else:
            self._begin(*self._line)

    def _begin(self, command: bytes, path: bytes, version: bytes) -> None:
        """Hide the body from Twisted's form parser and daphne's in-memory queue, then pass the request on."""
        if self.is_refused:
            self.channel.transport.loseConnection()
            return
        self.channel.limits.begin_request(self.channel.seat)
        # daphne reads the site's root path from this header, which any client can send.
        self.requestHeaders.removeHeader(b"daphne-root-path")
        self.body_bytes = self.content.tell()
        self.content.seek(0)
        self.content = EmptyBody(self.content)
        super().requestReceived(command, path, version)

    def finish(self) -> None:
        """End the answer. If its body is shorter than its declared length, also close the connection.

        Otherwise the client would wait for the rest of the body.
        """
        self.end_flow()
        declared = self.responseHeaders.getRawHeaders(b"content-length")
        has_body = self.method != b"HEAD" and self.code != HTTPStatus.NOT_MODIFIED
        if declared and has_body and self.channel is not None and self.sentLength < int(declared[0]):
            self.channel.persistent = False
        super().finish()

    def handle_exception(self, exception: Exception) -> None:
        """Abort an answer that has begun, so that the client notices that it is incomplete.

        daphne's own method raises in this case, which ends daphne's loop over all connections.
        """
        if not self._response_started:
            super().handle_exception(exception)
        elif self.channel is not None:  # None after the client has disconnected
            self.channel.transport.abortConnection()

    def connectionLost(self, reason: Any) -> None:
        self._end_rate()
        self.end_flow()
        super().connectionLost(reason)


class Channel(HTTPChannel):
    """A connection that checks the sender of a long body before it reads on, and limits the time for a request's head.

    Twisted alone restarts its timeout at each byte of a head.
    """

    transport: Any
    requests: list[Request]
    seat: Seat
    _is_in_head = False
    _is_lost = False
    _checking: "asyncio.Task[None] | None" = None

    @property
    def limits(self) -> Connections:
        limits: Connections = self.factory.server.limits
        return limits

    def connectionMade(self) -> None:
        self.seat.transport = self.transport
        self.transport.seat = self.seat  # a WebSocket takes over the transport, not the channel
        super().connectionMade()

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
        if (refusal := self._refusal()) is not None:
            self.requests[-1].refuse(refusal)
            super().allHeadersReceived()
            return
        if self.length is not None and self.length <= bodies.ANONYMOUS_BYTES:
            super().allHeadersReceived()
            return
        self.pause()
        self._checking = asyncio.ensure_future(self._check(self.requests[-1]))

    def _refusal(self) -> Refusal | None:
        """Return the answer to a request that exceeds the limits on connections, or None."""
        request, peer = self.requests[-1], self.transport.getPeer()
        if client_address.is_trusted(host := getattr(peer, "host", "")):
            forwarded = request.requestHeaders.getRawHeaders(b"X-Forwarded-For", [])
            address = client_address.client_address(host, [value.decode("latin-1") for value in forwarded])
            if not self.limits.set_address(self.seat, address):
                return bodies.TOO_MANY
        # An extra seat is one in the reserve, which only signed-in users and health checks may use. A session cookie is
        # enough here: checking whether its session is valid would take a query.
        is_for_reserve = self._path == b"/healthz" or bodies.session_key(request.headers) is not None
        return bodies.FULL if self.seat.is_extra and not is_for_reserve else None

    async def _check(self, request: Request) -> None:
        """Check the sender of a long body, then read on."""
        refusal = None
        try:
            max_bytes = self.factory.server.max_body_bytes
            request.allowed = await bodies.permit(request.headers, self.length, max_bytes)
        except BodyRefused as refused:
            refusal = refused.refusal
        except Exception:  # a bug: without an answer the client would wait for its own timeout
            logger.exception("Could not check the sender of a request")
            refusal = bodies.DATABASE_AWAY
        if self._is_lost:
            return
        if refusal is not None:
            request.refuse(refusal)
        elif request.allowed.is_signed_in:
            self.limits.sign_in(self.seat)
        super().allHeadersReceived()
        self.resume()

    def pause(self) -> None:
        """Stop reading and parsing. `paused` is the flag of Twisted's line receiver."""
        self.paused = True
        self._networkProducer.pauseProducing()

    def resume(self) -> None:
        self.paused = False
        if not self._waitingForTransport:
            self._networkProducer.resumeProducing()
        self.dataReceived(b"")  # parse the data that was read before the pause

    def resumeProducing(self) -> None:
        super().resumeProducing()
        if self.paused:
            self._networkProducer.pauseProducing()

    def _send100Continue(self) -> None:
        if not self.requests[-1].is_refused:
            super()._send100Continue()

    def requestDone(self, request: Request) -> None:
        self.limits.end_request(self.seat, connection_address(self.transport.getPeer()))
        super().requestDone(request)  # starts the next request if it has arrived

    def connectionLost(self, reason: Any) -> None:  # type: ignore[override]
        self._is_lost = True
        self.limits.close(self.seat)
        super().connectionLost(reason)


def connection_address(peer: Any) -> str | None:
    """Return the address of a connection's client, for the limits on connections from one address.

    Returns None for a connection from a trusted proxy, because it carries requests of many clients.
    """
    host = getattr(peer, "host", "")
    return None if client_address.is_trusted(host) else client_address.client_address(host)


class RequestFactory(HTTPFactory):
    protocol = Channel

    def buildProtocol(self, addr: Any) -> Any:
        """Return the protocol of a new connection, or None to close it at once."""
        seat = self.server.limits.open(connection_address(addr))
        if seat is None:
            return None
        protocol = super().buildProtocol(addr)
        protocol.seat = seat
        protocol.requestFactory = Request
        protocol.timeOut = IDLE_SECONDS
        return protocol
