"""The WebSockets of `daphne.py`: what an application sends goes straight to the kernel, in frames that are made once.

A message is sent to hundreds of viewers at the same moment, so its frame is made for the first of them only. Nothing
is buffered here but what the kernel did not take of one fragment, and the kernel is told to take little that it cannot
send: what waits for a slow viewer waits in the application, which knows what is out of date.
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

SHORT_CHARACTERS = 8 * 1024  # a longer message goes in fragments
FRAGMENT_BYTES = 32 * 1024  # at most: a ping that waits behind one is answered in time even at 2 KB/s
MOST_WAITING, FEW_WAITING = 32, 8  # messages: with more nothing is read from a socket, until the application has so few
TEXT, CONTINUATION, LAST = 0x01, 0x00, 0x80  # of RFC 6455, 5.2

Receive = Callable[[], Awaitable[dict[str, Any]]]


class Socket(Flow, WebSocketProtocol):
    """Sends by itself what the application says, and waits until the client takes it; autobahn does the rest.

    It can be closed with every code of RFC 6455; autobahn's own `sendClose` refuses 1008 to 1013.
    """

    transport: Any
    state = WebSocketProtocol.STATE_CLOSED  # until it is connected
    _is_direct = False  # may the frames go past Twisted's buffer?
    _is_held = False  # does the application have enough to do with what has come?

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
            self._await_flush()  # of the handshake
        super().onOpen()

    def begin_flow(self) -> None:
        # The HTTP channel that the socket began as has left itself behind as producer.
        self.transport.unregisterProducer()
        super().begin_flow()

    async def send_text(self, text: str) -> None:
        """Send a message of any length, and wait until the kernel has taken it or the connection has ended."""
        if len(text) <= SHORT_CHARACTERS and not self._sending.locked():
            self._write(frame(text))
            await self.drained()
            return
        await self._sending.acquire()
        # Who waits may go away in the middle; the message goes on to its end, or the next would not be understood.
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
            # Twisted would ask the reactor to be called again when there is room; nearly always there is now.
            taken = self.transport.writeSomeData(data)
            if taken == len(data):
                return
            if isinstance(taken, int):  # else the connection is lost, and the reactor finds out
                data = data[taken:]
        self.transport.write(data)
        if self._is_direct:
            self._await_flush()

    def _await_flush(self) -> None:
        """Have no room until the kernel has taken everything; Twisted by itself says so only when much is buffered."""
        self.transport.producerPaused = True
        self.pauseProducing()

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        """What autobahn writes (pings, close frames) goes the same way: nothing overtakes the rest of a frame."""
        self._write(data)

    def _fail_connection(self, code: int, reason: str) -> None:
        """Say why the socket ends (1002, 1007, 1009), where autobahn would drop the connection without a word.

        Its own option to do so (`failByDrop`) goes on to read what is wrong, and keeps it.
        """
        self.failedByMe = True
        self.sendCloseFrame(code=code)

    def dataReceived(self, data: bytes) -> None:
        if not self.failedByMe:
            super().dataReceived(data)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        super().onMessage(payload, isBinary)
        if self.application_queue.qsize() > MOST_WAITING:
            self._is_held = True
            self.transport.pauseProducing()  # what the transport produces is what it reads

    def processData(self) -> bool:
        """Take one frame, or a part of it, of what was read; what comes after many that wait is left there."""
        return not self._is_held and bool(super().processData())

    def reader(self, receive: Receive) -> Receive:
        """Return a `receive` that lets the socket be read again when few messages wait."""

        async def read() -> dict[str, Any]:
            message = await receive()
            if self._is_held and self.application_queue.qsize() < FEW_WAITING:
                self._is_held = False
                self.consumeData()
                if not self._is_held:
                    self.transport.resumeProducing()
            return message

        return read

    def serverClose(self, code: int | None = None) -> None:
        self.sendCloseFrame(code=1000 if code is None else code)

    def connectionLost(self, reason: Any) -> None:
        self.factory.server_class.limits.close(self.transport.seat)
        super().connectionLost(reason)

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:
        self.let_go()
        super().onClose(wasClean, code, reason)


class SocketFactory(WebSocketFactory):
    protocol = Socket


@lru_cache(maxsize=64)
def frame(text: str) -> bytes:
    """Return a whole message as one frame."""
    return head(TEXT | LAST, payload := text.encode()) + payload


class Fragments(list[bytes]):
    """The frames of a long message; each is whole, so that pings may come between."""


_being_sent: WeakValueDictionary[str, Fragments] = WeakValueDictionary()


def fragments(text: str) -> Fragments:
    """Return the frames of a long message, the same ones to all to whom it is being sent."""
    made = _being_sent.get(text)
    if made is None:
        made = _being_sent[text] = Fragments(_cut(text))
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
