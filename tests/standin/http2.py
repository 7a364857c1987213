"""HTTP/2 connections that continue after a graceful GOAWAY, for the stand-in and its raw client.

h2 treats a connection as closed after the first GOAWAY, sent or received. RFC 9113 (section 6.8) lets open streams
continue to their ends, in both directions.
"""

from typing import Any

from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, Event
from hyperframe.frame import Frame, GoAwayFrame

# With this id a GOAWAY only announces a second one: it refuses no stream.
EVERY_STREAM = 2**31 - 1


class Http2(H2Connection):
    """An `H2Connection` that reports a graceful GOAWAY as an event and continues."""

    def _receive_goaway_frame(self, frame: Any) -> tuple[list[Frame], list[Event]]:
        if frame.error_code != ErrorCodes.NO_ERROR:
            return super()._receive_goaway_frame(frame)
        event = ConnectionTerminated()
        event.error_code = ErrorCodes.NO_ERROR
        event.last_stream_id = frame.last_stream_id
        event.additional_data = frame.additional_data or None
        return [], [event]


def graceful_goaway(last_stream_id: int) -> bytes:
    """Return the bytes of a GOAWAY without an error. h2 itself would close the connection."""
    return GoAwayFrame(0, last_stream_id=last_stream_id, error_code=ErrorCodes.NO_ERROR).serialize()
