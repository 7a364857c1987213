"""The WebSocket side of `daphne.py`: writes frames directly to the kernel, with back-pressure in both directions.

The application sends one message to hundreds of viewers, so its frame is encoded once and cached. At most the unsent
part of one fragment is buffered here, and the kernel's send buffer is limited: data for a slow viewer waits in the
application, which can drop partials that are out of date.
"""

import asyncio
import struct
from collections.abc import Awaitable, Callable, Iterator
from functools import lru_cache
from typing import Any
from weakref import WeakValueDictionary

from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol
from twisted.internet.tcp import Server as Connection

from streaming.live.send_buffer import limit_send_buffer
from transcribe_site.server.backpressure import Flow

SHORT_CHARACTERS = 8 * 1024  # a longer message is sent in fragments
FRAGMENT_BYTES = 32 * 1024  # maximum: at 2 KB/s, a ping behind one fragment is still answered in time
PAUSE_ABOVE, RESUME_BELOW = 32, 8  # queued messages of a socket at which reading from it stops and continues
TEXT, CONTINUATION, LAST = 0x01, 0x00, 0x80  # of RFC 6455, 5.2

Receive = Callable[[], Awaitable[dict[str, Any]]]


class Socket(Flow, WebSocketProtocol):
    """Sends the application's messages with back-pressure; autobahn does the rest.

    Can close with every code of RFC 6455; autobahn's own `sendClose` refuses 1008 to 1013.
    """

    transport: Any
    state = WebSocketProtocol.STATE_CLOSED  # until the handshake
    _is_direct = False  # write directly to the socket?
    _is_reading_paused = False

    @property
    def is_connected(self) -> bool:
        return bool(self.state == self.STATE_OPEN)

    def onOpen(self) -> None:
        self._sending = asyncio.Lock()
        self._is_direct = isinstance(self.transport, Connection) and not self.transport.TLS
        if self._is_direct:
            self.transport.setTcpNoDelay(True)
            limit_send_buffer(self.transport.socket)
            self._watch_flow()
            self._await_flush()  # the handshake may not be sent yet
        super().onOpen()

    def begin_flow(self) -> None:
        # The HTTP channel of the handshake is still registered as producer; unregister it.
        self.transport.unregisterProducer()
        super().begin_flow()

    async def send_text(self, text: str) -> None:
        """Send a message of any length, and wait until the kernel has accepted it or the connection has ended."""
        if len(text) <= SHORT_CHARACTERS and not self._sending.locked():
            self._write(frame(text))
            await self.drained()
            return
        await self._sending.acquire()
        # Shielded: after a cancellation of the caller the remaining fragments must still be sent. Otherwise the next
        # message would arrive inside this one.
        await asyncio.shield(asyncio.ensure_future(self._send_fragments(text)))

    async def _send_fragments(self, text: str) -> None:
        try:
            for fragment in fragments(text):
                if not self.is_connected:
                    return
                self._write(fragment)
                await self.drained()
        finally:
            self._sending.release()

    def _write(self, data: bytes) -> None:
        if self._is_direct and self.has_room:
            # Twisted would wait for the reactor to report room, which nearly always exists already.
            taken = self.transport.writeSomeData(data)
            if taken == len(data):
                return
            if isinstance(taken, int):  # an exception: the connection is lost, which the reactor handles
                data = data[taken:]
        self.transport.write(data)
        if self._is_direct:
            self._await_flush()

    def _await_flush(self) -> None:
        """Report the transport as full until the kernel accepts all bytes; Twisted does so past its high-water mark."""
        self.transport.producerPaused = True
        self.pauseProducing()

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        """Write autobahn's own frames (pings, close) in the same order: they must not overtake the rest of a frame."""
        self._write(data)

    def _fail_connection(self, code: int, reason: str) -> None:
        """Close with the reason (1002, 1007 or 1009); by default autobahn drops the connection without a close frame.

        autobahn's own option for this (`failByDrop`) would go on to read and buffer the invalid data.
        """
        self.failedByMe = True
        self.sendCloseFrame(code=code)

    def dataReceived(self, data: bytes) -> None:
        if not self.failedByMe:
            super().dataReceived(data)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        super().onMessage(payload, isBinary)
        if self.application_queue.qsize() > PAUSE_ABOVE:
            self._is_reading_paused = True
            self.transport.pauseProducing()  # stops reading from the socket

    def processData(self) -> bool:
        """Parse one frame or a part of it. While reading is paused, the data stays unparsed."""
        return not self._is_reading_paused and bool(super().processData())

    def reader(self, receive: Receive) -> Receive:
        """Return a `receive` that resumes reading from the socket when few messages are queued."""

        async def read() -> dict[str, Any]:
            message = await receive()
            if self._is_reading_paused and self.application_queue.qsize() < RESUME_BELOW:
                self._is_reading_paused = False
                self.consumeData()
                if not self._is_reading_paused:
                    self.transport.resumeProducing()
            return message

        return read

    def serverClose(self, code: int | None = None) -> None:
        self.sendCloseFrame(code=1000 if code is None else code)

    def connectionLost(self, reason: Any) -> None:
        self.factory.server_class.limits.close(self.transport.seat)
        super().connectionLost(reason)

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:
        self.end_flow()
        super().onClose(wasClean, code, reason)


class SocketFactory(WebSocketFactory):
    protocol = Socket


@lru_cache(maxsize=64)
def frame(text: str) -> bytes:
    """Return a whole message as one frame."""
    return head(TEXT | LAST, payload := text.encode()) + payload


class Fragments(list[bytes]):
    """The frames of a long message. Each is complete, so pings may be sent between them."""


_fragments_of: WeakValueDictionary[str, Fragments] = WeakValueDictionary()


def fragments(text: str) -> Fragments:
    """Return the frames of a long message. All concurrent sends of one text share them."""
    made = _fragments_of.get(text)
    if made is None:
        made = _fragments_of[text] = Fragments(_cut(text))
    return made


def _cut(text: str) -> Iterator[bytes]:
    size = FRAGMENT_BYTES if text.isascii() else FRAGMENT_BYTES // 4
    for begin in range(0, len(text), size):
        payload = text[begin : begin + size].encode()
        is_last = begin + size >= len(text)
        yield head((CONTINUATION if begin else TEXT) | (LAST if is_last else 0), payload) + payload


def head(first_byte: int, payload: bytes) -> bytes:
    """Return the header of an unmasked frame."""
    length = len(payload)
    if length < 126:
        return struct.pack("!BB", first_byte, length)
    if length < 1 << 16:
        return struct.pack("!BBH", first_byte, 126, length)
    return struct.pack("!BBQ", first_byte, 127, length)
