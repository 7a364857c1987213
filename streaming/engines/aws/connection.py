"""An asyncio HTTP/2 connection to Amazon Transcribe that carries one request.

It replaces the SDK's connection: `transport.py` sends the request, writes audio and reads the answer. It applies
back-pressure, reports an unexpected end of the connection as an error, and sends a PING if the service is silent. It
tolerates all frames that RFC 9113 allows: informational responses, trailers, a graceful GOAWAY, unknown frames and
settings.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from h2.config import H2Configuration
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    PingAckReceived,
    ResponseReceived,
    SettingsAcknowledged,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from streaming.engines.aws.http2 import StreamInterrupted, Wire, name_of

PING_SECONDS = 10.0  # of silence before a PING is sent; if its answer takes as long, the connection fails
FINAL_PING_SECONDS = 5.0  # how long to wait, after the answer, for a reset or the answer to `FINAL_PING`
FINAL_PING = b"finished"  # 8 bytes, as HTTP/2 requires; distinguishes this PING from those of the liveness check
WRITE_BUFFER_BYTES = 16 * 1024  # if the buffer held more, asyncio calls `resume_writing` once it has drained
STREAM_ID = 1  # the id of a client's first stream; here the only one


class Head(NamedTuple):
    """The status and the headers of an answer."""

    status: int
    headers: Mapping[str, str]  # with lower-case names


class Connection(asyncio.Protocol):
    """An HTTP/2 connection with one request. The SDK writes into it as the request's body (`write`, `end_stream`)."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        # h2 does not need to check the SDK's headers, which are correct. It must not check the service's headers, since
        # an invalid one is no reason to fail the stream. Latin-1 decodes every byte.
        config = H2Configuration(
            header_encoding="latin-1", validate_outbound_headers=False, validate_inbound_headers=False
        )
        self._h2 = Wire(config)
        self._h2.local_settings = Settings(client=True, initial_values={SettingCodes.ENABLE_PUSH: 0})
        self._transport: asyncio.Transport | None = None
        self._unsent = bytearray()
        self._is_sending_soon = False
        self._is_ending = False
        self._has_room = asyncio.Event()
        self._head: asyncio.Future[Head] = self._loop.create_future()
        self._received: deque[bytes] = deque()
        self._changed = asyncio.Event()
        self._is_complete = False
        self._has_stopped_reading = False  # the service reset the stream after its answer
        self._has_final_pong = False
        self._goaway = ""  # the reason of the service's GOAWAY; "" before one
        self.has_sent_end = False
        self._error: Exception | None = None
        self._received_at = self._loop.time()
        self._pinged_at: float | None = None
        self._liveness_timer: asyncio.TimerHandle | None = None

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self._h2.initiate_connection()
        self._flush()
        self._liveness_timer = self._loop.call_later(PING_SECONDS, self._check_liveness)

    def data_received(self, data: bytes) -> None:
        self._received_at, self._pinged_at = self._loop.time(), None
        try:
            for event in self._h2.receive_data(data):
                self._handle_event(event)
        except (ProtocolError, ValueError, LookupError) as error:  # ValueError, LookupError: an invalid status
            self.fail(StreamInterrupted(f"the server does not speak HTTP/2 ({error})"))
            return
        self._send_unsent()

    def connection_lost(self, error: Exception | None) -> None:
        reason = error or self._goaway
        self.fail(StreamInterrupted(f"the connection was cut ({reason})" if reason else "the connection was closed"))

    def resume_writing(self) -> None:
        self._has_room.set()

    def _handle_event(self, event: Any) -> None:
        match event:
            case _ if event_of_another_stream(event):
                pass  # a pushed stream, although we disabled pushes: ignore it
            case ResponseReceived():
                if not self._head.done():
                    # Lower-case the names: some proxies capitalise them.
                    headers = {str(name).lower(): str(value) for name, value in event.headers}
                    self._head.set_result(Head(int(headers.pop(":status")), headers))
            case DataReceived():
                self._received.append(event.data)
                self._h2.acknowledge_received_data(event.flow_controlled_length, STREAM_ID)
                self._changed.set()
            case StreamEnded():
                self._is_complete = True
                self._changed.set()
            case StreamReset() if self._is_complete:
                self._has_stopped_reading = True
                self._changed.set()
            case PingAckReceived() if event.ping_data == FINAL_PING:
                self._has_final_pong = True
                self._changed.set()
            case StreamReset():
                self.fail(StreamInterrupted(f"the service reset the stream ({name_of(event.error_code)})"))
            case ConnectionTerminated():
                self._goaway = f"the service announced its end: {name_of(event.error_code)}"
                # A server that restarts sends GOAWAY and still finishes its streams. It need not answer a PING after
                # that, so `has_stopped_reading` must not wait for one.
                self._has_final_pong = self._is_complete
                if (event.last_stream_id or 0) < STREAM_ID:
                    self.fail(StreamInterrupted(f"the service ended the connection ({name_of(event.error_code)})"))
                self._changed.set()
            case WindowUpdated() | SettingsAcknowledged():
                pass  # there may be room to send; `data_received` sends

    def _check_liveness(self) -> None:
        """Send a PING if the service is silent, and fail the connection if it has not answered the last one.

        Without this, a half-open connection could not be distinguished from a pause in the results.
        """
        now = self._loop.time()
        if self._pinged_at is not None and now - self._pinged_at >= PING_SECONDS:
            self.fail(StreamInterrupted("the service no longer answers"))
            return
        if self._pinged_at is None and now - self._received_at >= PING_SECONDS:
            self._pinged_at = now
            try:
                self._h2.ping(b"liveness")
            except ProtocolError as error:
                self.fail(StreamInterrupted(f"the server does not speak HTTP/2 ({error})"))
                return
            self._flush()
        self._liveness_timer = self._loop.call_later(PING_SECONDS / 2, self._check_liveness)

    def fail(self, error: Exception) -> None:
        """Abort the connection and raise `error` in waiting callers. After the end of the answer, only abort."""
        if self._liveness_timer is not None:
            self._liveness_timer.cancel()
        if self._error is None and not self._is_complete:
            self._error = error
            if not self._head.done():
                self._head.set_exception(error)
                self._head.exception()  # retrieve it: asyncio logs an exception that no caller awaits
        self._changed.set()
        self._has_room.set()
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Close the connection, and reset the stream unless it has ended, so that the service stops billing."""
        if self._liveness_timer is not None:
            self._liveness_timer.cancel()
        if self._transport is None or self._transport.is_closing():
            return
        try:
            if not self._is_complete or self._unsent:
                self._h2.reset_stream(STREAM_ID, ErrorCodes.CANCEL)
            self._h2.close_connection()
            self._flush()
        except ProtocolError:
            pass  # the stream does not exist or has ended: there is nothing to reset
        finally:
            self._transport.close()

    # Called by `transport.py` and by the SDK's audio stream.

    async def request(self, path: str, method: str, headers: Sequence[tuple[str, str]]) -> Head:
        """Send the headers of the request and return the head of the answer. The body is written afterwards."""
        if self._goaway:
            raise StreamInterrupted(f"the connection accepts no request: {self._goaway}")
        named = {name.lower(): value for name, value in headers}
        pseudo = [(":method", method), (":scheme", "https"), (":authority", named.pop("host")), (":path", path)]
        self._h2.send_headers(STREAM_ID, [*pseudo, *named.items()])
        self._flush()
        return await self._head

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the answer's body. Raises `StreamInterrupted` if it ends without the service's end of stream."""
        while True:
            while self._received:
                yield self._received.popleft()
            if self._error is not None:
                raise self._error
            if self._is_complete:
                return
            self._changed.clear()
            await self._changed.wait()

    async def has_stopped_reading(self) -> bool:
        """Return whether the service reset the stream after its answer, and so has not read the end of the audio.

        The service sends such a reset directly after its answer (RFC 9113, 8.1). So the reset arrives before the answer
        to a PING that we send now. Waits for that answer, at most `FINAL_PING_SECONDS`.
        """
        if not self._is_complete or self._goaway or self._transport is None or self._transport.is_closing():
            return self._has_stopped_reading
        self._h2.ping(FINAL_PING)
        self._flush()
        with suppress(TimeoutError):  # neither a reset nor a PING answer came: assume that all audio was read
            async with asyncio.timeout(FINAL_PING_SECONDS):
                while not (self._has_stopped_reading or self._has_final_pong or self._transport.is_closing()):
                    self._changed.clear()
                    await self._changed.wait()
        return self._has_stopped_reading

    def write(self, data: bytes) -> int:
        """Queue data. It is sent in the next iteration of the event loop, because one frame costs less than several.

        Drops the data after the end of the connection: the caller learns the reason when it reads the answer.
        """
        if self._error is None and not self._is_complete:
            self._unsent += data
            self._send_soon()
        return len(data)

    def end_stream(self) -> None:
        self._is_ending = True
        self._send_soon()

    def _send_soon(self) -> None:
        if not self._is_sending_soon:
            self._is_sending_soon = True
            self._loop.call_soon(self._send_unsent)

    def _send_unsent(self) -> None:
        """Send as much as the service's flow-control window allows; the rest stays queued."""
        assert self._transport is not None
        self._is_sending_soon = False
        if not self._transport.is_closing() and not self._is_complete and self._error is None:
            try:
                while self._unsent and (room := self._room()) > 0:
                    self._h2.send_data(STREAM_ID, bytes(self._unsent[:room]))
                    del self._unsent[:room]
                if self._is_ending and not self._unsent:
                    self._is_ending = False
                    self._h2.end_stream(STREAM_ID)
                    self.has_sent_end = True
            except ProtocolError as error:
                self.fail(StreamInterrupted(f"the server does not speak HTTP/2 ({error})"))
                return
        self._flush()

    def _room(self) -> int:
        return min(self._h2.local_flow_control_window(STREAM_ID), self._h2.max_outbound_frame_size)

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
        self._has_room.set()  # waiting callers check whether there really is room

    @property
    def unsent_bytes(self) -> int:
        assert self._transport is not None
        return len(self._unsent) + self._transport.get_write_buffer_size()

    async def wait_for_room(self, most_bytes: int, seconds: float) -> None:
        """Wait until at most `most_bytes` are unsent. Returns at once if the connection has ended.

        Raises `TimeoutError` after `seconds`.
        """
        if self.unsent_bytes <= most_bytes:
            return  # the usual case: skip the cost of a timeout
        async with asyncio.timeout(seconds):
            while self.unsent_bytes > most_bytes and self._error is None and not self._is_complete:
                self._has_room.clear()
                await self._has_room.wait()


def event_of_another_stream(event: Any) -> bool:
    return (getattr(event, "stream_id", None) or STREAM_ID) != STREAM_ID
