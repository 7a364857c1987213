"""One HTTP/2 connection of the stand-in: passes requests and their data to streams, and sends the streams' answers."""

import asyncio
import contextlib
import itertools
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from h2 import events as h2_events
from h2.config import H2Configuration
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes
from hyperframe.frame import RstStreamFrame

from tests.standin.http2 import EVERY_STREAM, Http2, graceful_goaway

# Keep the connection's window open. Each stream applies its own back-pressure, so that none blocks another.
CONNECTION_WINDOW = 2**31 - 1
# Data sent before a cut arrives if the cut comes this much later.
CUT_DELAY_SECONDS = 0.02
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_numbers = itertools.count(1)


class RequestStream(Protocol):
    """The interface of a stream, which the connection calls."""

    @property
    def stops_client(self) -> bool:
        """Whether to reset the stream of a client that is still sending after the end of the response."""
        ...

    def receive(self, data: bytes) -> None: ...

    def client_ended(self) -> None: ...

    def client_left(self) -> None: ...

    def client_goes_away(self) -> None:
        """Called when the client sent a graceful GOAWAY. It opens no more streams, and this one continues."""


OpenStream = Callable[["Connection", int, list[tuple[str, str]]], RequestStream]


class Connection(asyncio.Protocol):
    """Serves one client. `open_stream` creates the stream of each request."""

    def __init__(self, open_stream: OpenStream, forget: Callable[["Connection"], None]) -> None:
        self.number = next(_numbers)  # among all connections of this process
        self._open_stream = open_stream
        self._forget = forget
        self._transport: asyncio.Transport | None = None
        self._streams: dict[int, RequestStream] = {}
        self._unsent: dict[int, tuple[bytes, bool]] = {}
        self._is_hung = False
        self._is_reading = False
        self._window_left = CONNECTION_WINDOW
        self._last_stream_id: int | None = None  # the last stream id of our GOAWAY: later streams are refused
        self._h2 = Http2(H2Configuration(client_side=False, header_encoding="utf-8"))

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    # Called by asyncio.

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        if transport.get_extra_info("ssl_object").selected_alpn_protocol() != "h2":
            transport.abort()  # the service speaks only HTTP/2
            return
        self._h2.initiate_connection()
        self._h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 100})
        self._h2.increment_flow_control_window(CONNECTION_WINDOW - 65_535)
        self._flush()

    def data_received(self, data: bytes) -> None:
        if self._is_hung:  # this data was read before
            return
        self._is_reading = True
        try:
            for event in self._h2.receive_data(data):
                self._handle(event)
        except ProtocolError:
            self.close()  # after sending the GOAWAY that h2 has prepared
        finally:
            self._is_reading = False
        self._flush()
        self._close_when_drained()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        for stream in list(self._streams.values()):
            stream.client_left()
        self._streams.clear()
        self._forget(self)

    def _handle(self, event: h2_events.Event) -> None:
        if isinstance(event, h2_events.DataReceived):
            self._take_window(event.flow_controlled_length or 0)
            if stream := self._streams.get(event.stream_id):
                stream.receive(event.data or b"")
                # Padding does not reach the stream, so return its part of the window here.
                if padding := (event.flow_controlled_length or 0) - len(event.data or b""):
                    self.give_window(event.stream_id, padding)
        elif isinstance(event, h2_events.RequestReceived):
            if self._last_stream_id is not None and event.stream_id > self._last_stream_id:
                self.reset(event.stream_id, ErrorCodes.REFUSED_STREAM)
                return
            headers = [(str(name), str(value)) for name, value in event.headers or ()]
            self._streams[event.stream_id] = self._open_stream(self, event.stream_id, headers)
        elif isinstance(event, h2_events.StreamEnded):
            if stream := self._streams.get(event.stream_id):
                stream.client_ended()
        elif isinstance(event, h2_events.StreamReset):
            self._unsent.pop(event.stream_id, None)
            if stream := self._streams.pop(event.stream_id, None):
                stream.client_left()
        elif isinstance(event, h2_events.ConnectionTerminated):
            for stream in self._streams.values():
                stream.client_goes_away()
        elif isinstance(event, h2_events.WindowUpdated | h2_events.RemoteSettingsChanged):
            for stream_id in list(self._unsent):
                self._send_what_fits(stream_id)

    def _take_window(self, size: int) -> None:
        self._window_left -= size
        if self._window_left < CONNECTION_WINDOW // 2:
            self._h2.increment_flow_control_window(CONNECTION_WINDOW - self._window_left)
            self._window_left = CONNECTION_WINDOW

    # Called by streams.

    def give_window(self, stream_id: int, size: int) -> None:
        """Let the client send `size` more bytes on a stream, unless it has ended its side."""
        try:
            self._h2.increment_flow_control_window(size, stream_id)
        except ProtocolError:
            return  # the client has ended its side
        self._flush()

    def respond(self, stream_id: int, headers: Sequence[tuple[str, str]]) -> None:
        self._h2.send_headers(stream_id, headers)
        self._flush()

    def send(self, stream_id: int, data: bytes, *, is_end: bool = False) -> None:
        """Send bytes of a response's body as soon as the client's windows allow it."""
        before, _ = self._unsent.get(stream_id, (b"", False))
        self._unsent[stream_id] = (before + data, is_end)
        self._send_what_fits(stream_id)
        self._flush()
        self._close_when_drained()

    def _send_what_fits(self, stream_id: int) -> None:
        data, is_end = self._unsent.pop(stream_id)
        try:
            while data:
                size = min(self._h2.local_flow_control_window(stream_id), self._h2.max_outbound_frame_size, len(data))
                if size <= 0:
                    self._unsent[stream_id] = (data, is_end)
                    return
                self._h2.send_data(stream_id, data[:size])
                data = data[size:]
            if is_end:
                self._h2.end_stream(stream_id)
        except ProtocolError:
            return  # the client has reset the stream; the stream is notified of that
        if is_end:
            stream = self._streams.get(stream_id)
            if stream is not None and stream.stops_client:
                # The response is complete before the request: the client may stop sending (RFC 9113, 8.1).
                self.reset(stream_id, ErrorCodes.NO_ERROR)

    def reset(self, stream_id: int, code: ErrorCodes = ErrorCodes.INTERNAL_ERROR) -> None:
        self._unsent.pop(stream_id, None)
        with contextlib.suppress(ProtocolError):  # both sides have ended the stream
            self._h2.reset_stream(stream_id, code)
        self._flush()

    def stop_client(self, stream_id: int) -> None:
        """Ask a client to stop sending, even if it has ended the stream. h2 refuses that, as the stream is closed."""
        self._write()
        if self._transport is not None:
            self._transport.write(RstStreamFrame(stream_id, error_code=ErrorCodes.NO_ERROR).serialize())

    def go_away(self) -> None:
        """Send a GOAWAY with an error, which ends every stream, and close the connection."""
        self._h2.close_connection(ErrorCodes.INTERNAL_ERROR, last_stream_id=0)
        self.close()

    def drain(self, last_stream_id: int) -> None:
        """Send a graceful GOAWAY: streams up to `last_stream_id` continue to their ends, later ones are refused.

        With EVERY_STREAM it only announces that another GOAWAY follows.
        """
        self._write()
        if last_stream_id != EVERY_STREAM:
            self._last_stream_id = last_stream_id
        if self._transport is not None:
            self._transport.write(graceful_goaway(last_stream_id))
        self._close_when_drained()

    def _close_when_drained(self) -> None:
        """Close the connection after a graceful GOAWAY and the end of the last stream, as load balancers do."""
        if self._last_stream_id is not None and not (self._unsent or self._h2.open_inbound_streams):
            self.close()

    def hang(self) -> None:
        """Stop reading and sending, and keep the connection open."""
        self._write()
        self._is_hung = True
        if self._transport is not None:
            self._transport.pause_reading()

    def cut(self) -> None:
        """Break the connection without a closing message of TLS or HTTP/2."""
        if self._transport is not None:
            raw: socket.socket = self._transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            self._transport.abort()

    def cut_soon(self) -> None:
        """Break the connection once the sent data has arrived, and send nothing more."""
        self._write()
        self._is_hung = True
        asyncio.get_running_loop().call_later(CUT_DELAY_SECONDS, self.cut)

    def close(self) -> None:
        self._write()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        if not self._is_reading:  # send all answers to the data just read together, because each send is costly
            self._write()

    def _write(self) -> None:
        if self._transport is not None and not self._is_hung and (data := self._h2.data_to_send()):
            self._transport.write(data)
