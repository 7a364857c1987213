"""Injects faults into a stream of the stand-in: the part of `stream.py` that a real service lacks."""

import asyncio

from tests.standin import messages
from tests.standin.faults import BREAKING, DRAINING, break_off
from tests.standin.http2 import EVERY_STREAM
from tests.standin.requests import ServiceError

IDLE_SECONDS = 15.0
SECOND_GOAWAY_SECONDS = 0.05  # of real time: a round trip, as RFC 9113 recommends


class FaultInjection:
    def _stop_responding(self) -> None:
        """Stop answering. The stream counts as open for another 15 s, as the service's own timeout would have it."""
        self._ignores_input = True
        self._waiting.clear()
        self._stop_timers()
        self._at("idle", self._clock.now() + IDLE_SECONDS, lambda: self._close("fault"))

    def _inject_due_fault(self) -> None:
        """Inject the fault once the audio has reached its time."""
        fault = self._fault
        if fault is None or self._position < (fault.at or 0.0):
            return
        if fault.name in ("close", "half_close"):
            # The client's end may have arrived together with the audio that is processed now.
            self._is_held = True
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
            self._stop_responding()
            self._fault = None
        elif fault.name == "unread":
            self._ignores_input = self._is_unread = True
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
        """Send the GOAWAYs of a load balancer that is about to restart. The stream continues to its end."""
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
            self._fault, self._is_held = None, False
            self._process_what_is_due()
        else:
            self._close("fault")
            break_off(self._fault, self._connection, self._stream_id)

    def _end_pause(self) -> None:
        held, self._held = self._held or [], None
        for message in held:
            self._send(message)
