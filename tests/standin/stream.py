"""One transcription stream of the stand-in: receives the client's audio by the service's rules and sends results.

All times are seconds of the service's clock. If the client violates a rule, the stream sends an exception.
"""

import asyncio
import json
from collections import deque
from collections.abc import Callable

import numpy as np

from tests.standin import messages
from tests.standin.chunks import LARGEST_MESSAGE_BYTES, TOO_BIG, audio_of
from tests.standin.clock import Clock
from tests.standin.connection import Connection
from tests.standin.fault_injection import IDLE_SECONDS, FaultInjection
from tests.standin.faults import DRAINING, Fault
from tests.standin.recognition import Recognition, Segment
from tests.standin.record import Record
from tests.standin.requests import SAMPLE_BYTES, ServiceError
from tests.standin.results import NOTHING, Habits, Writer
from tests.standin.signatures import Chain, check_age

SECOND_LOOK_SECONDS = 0.5  # of real time
LONGEST_SECONDS = 4 * 3600.0
LEAD_SECONDS = 5.0  # of audio by which the client may be ahead of the service
HTTP2_WINDOW = 65_535  # the initial window of each stream
QUIET_EVENT_SECONDS = 5.0  # of audio without words, after which the service sends an event without results
NO_EMPTY_FRAME = "A complete signal was sent without the preceding empty frame."
IDLE = "Your request timed out because no new audio was received for 15 seconds."


class Stream(FaultInjection):
    """Serves an accepted request. Calls `on_close` once, when the stream no longer counts as open."""

    def __init__(
        self,
        connection: Connection,
        stream_id: int,
        record: Record,
        chain: Chain | None,
        clock: Clock,
        fault: Fault | None,
        habits: Habits,
        on_close: Callable[["Stream"], None],
    ) -> None:
        assert record.options is not None
        self.has_client_ended = False
        self._connection = connection
        self._stream_id = stream_id
        self._record = record
        self._request = record.options
        self._chain = chain
        self._clock = clock
        self._fault = fault
        self._on_close = on_close
        self._is_over = False
        self._ignores_input = False  # a fault: received data is ignored
        self._is_unread = False  # a fault: as above, and the stream is reset after the answer
        self._is_held = False  # while a fault waits to end the stream early, audio is not processed
        self._decoder = messages.Decoder(LARGEST_MESSAGE_BYTES)
        self._writer = Writer(self._request, habits)
        self._recognition: Recognition | None = None
        self._waiting: deque[tuple[float, bytes, int]] = deque()
        self._processed = 0  # bytes of audio
        self._window_owed = 0
        self._has_window = True
        self._lead_bytes = round(LEAD_SECONDS * self._request.bytes_per_second)
        self._is_audio_ended = False
        self._sent_bytes = 0
        self._last_event_at = 0.0  # seconds of audio
        self._held: list[bytes] | None = None  # results that a fault delays; None: no delay
        self._finishing: asyncio.Task[None] | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._began_at = self._last_audio_at = clock.now()

    def begin(self, headers: list[tuple[str, str]], recognition: Recognition) -> None:
        """Send the response headers and start receiving audio."""
        self._recognition = recognition
        self._at("limit", self._began_at + LONGEST_SECONDS, self._reach_limit)
        self._at("idle", self._began_at + IDLE_SECONDS, self._check_for_audio)
        if self._fault is not None and self._fault.name == "hang_start":
            self._stop_responding()
            return
        self._connection.respond(self._stream_id, headers)
        self._connection.give_window(self._stream_id, max(1, self._lead_bytes - HTTP2_WINDOW))
        self._inject_due_fault()

    # Called by the connection.

    @property
    def stops_client(self) -> bool:
        is_half_closed = self._fault is not None and self._fault.name == "half_close"
        return not self.has_client_ended and not is_half_closed

    def receive(self, data: bytes) -> None:
        if self._is_over or self._ignores_input:
            return
        try:
            for message in self._decoder.feed(data):
                self._receive_message(message)
                if self._is_over or self._ignores_input:  # this chunk triggered a fault
                    return
        except messages.TooLargeError:
            self._fail(ServiceError("BadRequestException", TOO_BIG))
        except messages.DamagedError:
            self._fail(ServiceError("SerializationException", "The event stream could not be decoded."))
        except ServiceError as error:
            self._fail(error)

    def client_ended(self) -> None:
        self.has_client_ended = True
        if self._is_unread and not self._is_over:
            self._close("fault")
            self._connection.send(self._stream_id, b"", is_end=True)
            self._connection.stop_client(self._stream_id)
        if self._is_over or self._ignores_input:
            return
        if self._is_audio_ended:
            self._finish_when_processed()
        else:
            self._fail(ServiceError("BadRequestException", NO_EMPTY_FRAME))

    def client_left(self) -> None:
        self.has_client_ended = True
        self._close("left")

    def client_goes_away(self) -> None:
        self._record.has_client_goaway = True

    # Audio.

    def _receive_message(self, message: messages.Message) -> None:
        """Receive the next signed message. Raises ServiceError, DamagedError."""
        now = self._clock.now()
        signed_at = None if self._chain is None else self._chain.check(message.headers, message.payload)
        request, record = self._request, self._record
        pcm = audio_of(message.payload, request)
        # The service processes audio in real time, so a chunk that arrives early waits.
        due = self._began_at + record.audio_bytes / request.bytes_per_second
        if signed_at is not None:
            check_age(signed_at, max(now, due), self._clock, "BadRequestException")
        if pcm is None:
            self._is_audio_ended = True
            return
        if not pcm:  # an event without audio neither ends the audio nor resets its timeout
            return
        if self._is_audio_ended:
            raise ServiceError("BadRequestException", "Audio came after the empty chunk that ends it.")
        record.chunks += 1
        record.audio_bytes += len(pcm)
        record.largest_chunk_bytes = max(record.largest_chunk_bytes, len(pcm))
        samples = np.frombuffer(pcm, "<i2")
        zeros = len(samples) - int(np.count_nonzero(samples))
        record.silent_seconds += zeros * SAMPLE_BYTES / request.bytes_per_second
        self._last_audio_at = now
        if self._waiting or self._is_held or due > now:
            self._waiting.append((due, pcm, message.size))
            if len(self._waiting) == 1:
                self._at("due", due, self._process_what_is_due)
        else:
            self._process(pcm, message.size)

    def _process_what_is_due(self) -> None:
        now = self._clock.now()
        while self._waiting and self._waiting[0][0] <= now and not (self._is_over or self._is_held):
            _, pcm, size = self._waiting.popleft()
            self._last_audio_at = now  # the client is not late while audio waits
            self._process(pcm, size)
        if self._is_over or self._ignores_input or self._is_held:
            return
        if self._waiting:
            self._at("due", self._waiting[0][0], self._process_what_is_due)
        elif self.has_client_ended:
            self._finish_when_processed()

    def _process(self, pcm: bytes, size: int) -> None:
        assert self._recognition is not None
        self._processed += len(pcm)
        self._recognition.add_audio(pcm)
        self._record.fragments = self._recognition.fragments
        if self._is_over:  # sending a result triggered a fault
            return
        if self._position - self._last_event_at >= QUIET_EVENT_SECONDS:
            self._send_event(NOTHING)
        self._window_owed += size
        # Return the window in large parts, because each needs a WINDOW_UPDATE frame.
        if self._has_window and self._window_owed >= self._lead_bytes // 2:
            owed, self._window_owed = self._window_owed, 0
            self._connection.give_window(self._stream_id, owed)
        self._inject_due_fault()

    @property
    def _position(self) -> float:
        """How much of the audio has been processed, in seconds."""
        return self._processed / self._request.bytes_per_second

    # Results.

    def deliver(self, segment: Segment) -> None:
        """Send a segment of the recognition."""
        if not self._is_over and (payload := self._writer.event(segment)):
            self._send_event(payload)

    def _send_event(self, payload: bytes) -> None:
        self._last_event_at = self._position
        self._send(messages.encode_event(payload))

    def _send(self, message: bytes, *, is_end: bool = False) -> None:
        if self._held is not None and not is_end:
            self._held.append(message)
            return
        fault = self._fault
        if fault is not None and fault.name == "cut_at_byte" and self._sent_bytes + len(message) >= fault.count:
            self._connection.send(self._stream_id, message[: fault.count - self._sent_bytes])
            self._connection.cut_soon()
            self._close("fault")
            return
        self._sent_bytes += len(message)
        self._connection.send(self._stream_id, message, is_end=is_end)

    # The end.

    def _finish_when_processed(self) -> None:
        if not self._waiting and self._finishing is None:
            self._finishing = asyncio.create_task(self._finish())

    async def _finish(self) -> None:
        assert self._recognition is not None
        fault = "" if self._fault is None else self._fault.name
        if fault in DRAINING:
            self._drain()
        if fault == "never_ends":
            self._stop_timers()
            return
        if fault != "drop_last":
            try:
                await self._recognition.finish()
            except Exception as error:  # any error of a recogniser: without an end the client would hang
                self._fail(ServiceError("InternalFailureException", str(error)))
            while self._held is not None and not self._is_over:  # until the fault's delay is over
                await asyncio.sleep(0.01)
        if not self._is_over:
            self._close("end_stream")
            self._connection.send(self._stream_id, b"", is_end=True)
            if fault == "unread":
                self._connection.stop_client(self._stream_id)

    def _check_for_audio(self, *, is_second_check: bool = False) -> None:
        now, end = self._clock.now(), self._last_audio_at + IDLE_SECONDS
        if self.has_client_ended:
            return
        if self._waiting or now < end:
            self._at("idle", max(end, now + IDLE_SECONDS / 10), self._check_for_audio)
        elif is_second_check:
            self._fail(ServiceError("BadRequestException", IDLE))
        else:
            # On a fast clock 15 s pass quickly: first read the data that arrived while this process was busy.
            later = now + SECOND_LOOK_SECONDS * self._clock.rate
            self._at("idle", later, lambda: self._check_for_audio(is_second_check=True))

    def _reach_limit(self) -> None:
        self._close("limit")
        self._connection.send(self._stream_id, b"", is_end=True)

    def _fail(self, error: ServiceError, end: str = "exception") -> None:
        if self._is_over:
            return
        self._record.exception = error.name
        self._close(end)
        payload = json.dumps({"Message": error.message}).encode()
        self._connection.send(self._stream_id, messages.encode_exception(error.name, payload), is_end=True)

    def _close(self, end: str) -> None:
        """Mark the stream as closed. Only the first `end` is recorded."""
        if self._is_over:
            return
        self._is_over = True
        self._record.end = end
        self._record.ended_at = self._clock.loop_time()
        self._stop_timers()
        self._waiting.clear()
        if self._recognition is not None:
            self._recognition.close()
            self._record.fragments = self._recognition.fragments
        self._on_close(self)

    def _at(self, name: str, moment: float, callback: Callable[[], None]) -> None:
        self._timers[name] = self._clock.call_at(moment, callback)

    def _stop_timers(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
