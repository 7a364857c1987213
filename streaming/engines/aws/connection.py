"""An HTTP/2 connection to Amazon Transcribe with one request on it, on the event loop.

It replaces the SDK's own connection: `transport.py` sends a request with it, writes audio into it and reads the
answer from it. It writes when there is something to write, reports an end that nobody announced as an error, lets the
caller wait until the service has accepted more, and sends a PING on a connection that has gone silent. Frames that RFC
9113 allows never end it: informational responses, trailers, a graceful GOAWAY, unknown frames and settings.
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

from streaming.engines.aws.http2 import CutOff, Wire, name_of

PING_SECONDS = 10.0  # without a byte from the service it gets a PING; without an answer for as long, the stream fails
LAST_WORD_SECONDS = 5.0  # for frames that the service sends right after its answer
LAST_QUESTION = b"is it so"
WRITE_BUFFER_BYTES = 16 * 1024  # above it, asyncio calls `resume_writing` when there is room
STREAM_ID = 1  # of a client's first and here only stream


class Head(NamedTuple):
    """How an answer begins."""

    status: int
    headers: Mapping[str, str]  # with lower-case names


class Connection(asyncio.Protocol):
    """An HTTP/2 connection with one request on it, which is also the request body that the SDK writes into."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        # The SDK's headers are in order, and this is the only stream: h2 need not check ours.
        # Of the service's, none decides about the connection: Latin-1 decodes all bytes that a header may have.
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
        self._news = asyncio.Event()
        self._is_complete = False
        self._is_stopped = False  # the service said so, after its answer
        self._has_last_word = False
        self._goaway = ""  # why the service will end the connection, once it has announced that
        self.has_sent_end = False
        self._error: Exception | None = None
        self._heard_at = self._loop.time()
        self._asked_at: float | None = None
        self._watch: asyncio.TimerHandle | None = None

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self._h2.initiate_connection()
        self._flush()
        self._watch = self._loop.call_later(PING_SECONDS, self._look_for_life)

    def data_received(self, data: bytes) -> None:
        self._heard_at, self._asked_at = self._loop.time(), None
        try:
            for event in self._h2.receive_data(data):
                self._take(event)
        except (ProtocolError, ValueError, LookupError) as error:  # the latter two: a status that is none
            self.fail(CutOff(f"it does not speak HTTP/2 ({error})"))
            return
        self._send_unsent()

    def connection_lost(self, error: Exception | None) -> None:
        reason = error or self._goaway
        self.fail(CutOff(f"the connection was cut ({reason})" if reason else "the connection was closed"))

    def resume_writing(self) -> None:
        self._has_room.set()

    def _take(self, event: Any) -> None:
        match event:
            case _ if event_of_another_stream(event):
                pass  # pushed, although pushes are disabled
            case ResponseReceived():
                if not self._head.done():
                    # As they are decoded, whatever case a front end writes them in.
                    headers = {str(name).lower(): str(value) for name, value in event.headers}
                    self._head.set_result(Head(int(headers.pop(":status")), headers))
            case DataReceived():
                self._received.append(event.data)
                self._h2.acknowledge_received_data(event.flow_controlled_length, STREAM_ID)
                self._news.set()
            case StreamEnded():
                self._is_complete = True
                self._news.set()
            case StreamReset() if self._is_complete:
                self._is_stopped = True
                self._news.set()
            case PingAckReceived() if event.ping_data == LAST_QUESTION:
                self._has_last_word = True
                self._news.set()
            case StreamReset():
                self.fail(CutOff(f"the service broke off ({name_of(event.error_code)})"))
            case ConnectionTerminated():
                self._goaway = f"the service ended it: {name_of(event.error_code)}"
                # A front end that restarts announces its end and still finishes what it has begun. It need not answer
                # a PING any more.
                self._has_last_word = self._is_complete
                if (event.last_stream_id or 0) < STREAM_ID:
                    self.fail(CutOff(f"the service ended the connection ({name_of(event.error_code)})"))
                self._news.set()
            case WindowUpdated() | SettingsAcknowledged():
                pass  # there may be room; `data_received` looks

    def _look_for_life(self) -> None:
        """Send a PING to a silent service; fail if it did not answer the last one.

        A half-open connection would otherwise look like a pause.
        """
        now = self._loop.time()
        if self._asked_at is not None and now - self._asked_at >= PING_SECONDS:
            self.fail(CutOff("the service no longer answers"))
            return
        if self._asked_at is None and now - self._heard_at >= PING_SECONDS:
            self._asked_at = now
            try:
                self._h2.ping(b"are you?")
            except ProtocolError as error:
                self.fail(CutOff(f"it does not speak HTTP/2 ({error})"))
                return
            self._flush()
        self._watch = self._loop.call_later(PING_SECONDS / 2, self._look_for_life)

    def fail(self, error: Exception) -> None:
        """End the connection: waiting callers get `error`. Does nothing on a connection that has ended."""
        if self._watch is not None:
            self._watch.cancel()
        if self._error is None and not self._is_complete:
            self._error = error
            if not self._head.done():
                self._head.set_exception(error)
                self._head.exception()  # or asyncio would log it where no caller waits for the head
        self._news.set()
        self._has_room.set()
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Close the connection, and cancel the stream unless it has ended."""
        if self._watch is not None:
            self._watch.cancel()
        if self._transport is None or self._transport.is_closing():
            return
        try:
            if not self._is_complete or self._unsent:
                self._h2.reset_stream(STREAM_ID, ErrorCodes.CANCEL)
            self._h2.close_connection()
            self._flush()
        except ProtocolError:
            pass  # for h2 there is no such stream, or it has ended: there is nothing to cancel
        finally:
            self._transport.close()

    # The side of `transport.py` and of the SDK's audio stream.

    async def request(self, path: str, method: str, headers: Sequence[tuple[str, str]]) -> Head:
        """Send the head of a request, whose body is written later, and return the head of the answer."""
        if self._goaway:
            raise CutOff(f"the connection takes no request: {self._goaway}")
        named = {name.lower(): value for name, value in headers}
        pseudo = [(":method", method), (":scheme", "https"), (":authority", named.pop("host")), (":path", path)]
        self._h2.send_headers(STREAM_ID, [*pseudo, *named.items()])
        self._flush()
        return await self._head

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the answer until the service ends it. Raises `CutOff` where it ends otherwise."""
        while True:
            while self._received:
                yield self._received.popleft()
            if self._error is not None:
                raise self._error
            if self._is_complete:
                return
            self._news.clear()
            await self._news.wait()

    async def was_stopped(self) -> bool:
        """Return whether the service, which has ended its answer, said then that it had not read our end.

        It says so right behind the answer or not at all (RFC 9113, 8.1), and answers a PING after it.
        """
        if not self._is_complete or self._goaway or self._transport is None or self._transport.is_closing():
            return self._is_stopped
        self._h2.ping(LAST_QUESTION)
        self._flush()
        with suppress(TimeoutError):  # it says nothing more, and its answer had ended well
            async with asyncio.timeout(LAST_WORD_SECONDS):
                while not (self._is_stopped or self._has_last_word or self._transport.is_closing()):
                    self._news.clear()
                    await self._news.wait()
        return self._is_stopped

    def write(self, data: bytes) -> int:
        """Send this soon, with whatever else comes until then: one frame costs less than several.

        What comes after the end is dropped: the reader tells why it ended.
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
        """Send as much as the service has made room for; the rest waits."""
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
                self.fail(CutOff(f"it does not speak HTTP/2 ({error})"))
                return
        self._flush()

    def _room(self) -> int:
        return min(self._h2.local_flow_control_window(STREAM_ID), self._h2.max_outbound_frame_size)

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
        self._has_room.set()  # perhaps; callers that wait check it

    @property
    def unsent_bytes(self) -> int:
        assert self._transport is not None
        return len(self._unsent) + self._transport.get_write_buffer_size()

    async def room(self, most_bytes: int, seconds: float) -> None:
        """Wait until no more than `most_bytes` are unsent. Returns at once where the connection is over.

        Raises `TimeoutError` where that takes longer than `seconds`.
        """
        if self.unsent_bytes <= most_bytes:
            return  # as nearly always, without the cost of a limit
        async with asyncio.timeout(seconds):
            while self.unsent_bytes > most_bytes and self._error is None and not self._is_complete:
                self._has_room.clear()
                await self._has_room.wait()


def event_of_another_stream(event: Any) -> bool:
    return (getattr(event, "stream_id", None) or STREAM_ID) != STREAM_ID
