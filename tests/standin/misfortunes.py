"""What befalls a stream of the stand-in where a fault is asked for: the part of `stream.py` that no service wants."""

import asyncio

from tests.standin import messages
from tests.standin.faults import BREAKING, DRAINING, break_off
from tests.standin.http2 import EVERY_STREAM
from tests.standin.requests import ServiceError

IDLE_SECONDS = 15.0
SECOND_GOAWAY_SECONDS = 0.05  # of the wall's: a round trip, as RFC 9113 advises


class Misfortunes:
    def _go_deaf(self) -> None:
        """Answer nothing any more. The stream counts as open for 15 s: the service gives a dead one up like this."""
        self._is_deaf = True
        self._waiting.clear()
        self._stop_timers()
        self._at("idle", self._clock.now() + IDLE_SECONDS, lambda: self._close("fault"))

    def _meet_fault(self) -> None:
        """Let the fault happen when its moment in the audio has come."""
        fault = self._fault
        if fault is None or self._position < (fault.at or 0.0):
            return
        if fault.name in ("close", "half_close"):
            # The client's end may have come together with the sound that is heard now.
            self._is_deciding = True
            asyncio.get_running_loop().call_soon(self._end_early)
        elif fault.name in BREAKING:
            self._close("fault")
            break_off(fault, self._connection, self._stream_id)
        elif fault.name in DRAINING:
            self._drain()
        elif fault.name == "exception":
            self._fail(ServiceError(fault.exception, fault.message), "fault")
        elif fault.name == "hang":
            self._connection.hang()
            self._go_deaf()
            self._fault = None
        elif fault.name == "unread":
            self._is_deaf = self._is_unread = True
            self._waiting.clear()
            self._stop_timers()
        elif fault.name == "no_window":
            self._has_window = False
            self._stop_timers()
        elif fault.name == "payload":
            self._fault = None
            self._send(messages.encode_event(fault.message.encode()))
        elif fault.name == "pause":
            self._held = []
            self._at("pause", self._clock.now() + fault.seconds, self._end_pause)
            self._fault = None

    def _drain(self) -> None:
        """Send the GOAWAYs of a front end that is about to restart. The stream continues to its end."""
        assert self._fault is not None
        is_announced, self._fault = self._fault.name == "drain_twice", None
        if is_announced:
            self._connection.drain(EVERY_STREAM)
            loop = asyncio.get_running_loop()
            loop.call_later(SECOND_GOAWAY_SECONDS, self._connection.drain, self._stream_id)
        else:
            self._connection.drain(self._stream_id)

    def _end_early(self) -> None:
        if self._is_over:
            return
        assert self._fault is not None
        if self._is_audio_ended:
            self._fault, self._is_deciding = None, False
            self._process_what_is_due()
        else:
            self._close("fault")
            break_off(self._fault, self._connection, self._stream_id)

    def _end_pause(self) -> None:
        held, self._held = self._held or [], None
        for message in held:
            self._send(message)
