"""HTTP/2 framing for `connection.py`: the h2 library, with other handling of two frames.

h2 ignores a reset of a finished stream, and refuses all frames after a GOAWAY. `connection.py` has to handle both.
"""

from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, Event, StreamReset
from hyperframe.frame import Frame, GoAwayFrame, RstStreamFrame


class StreamInterrupted(ConnectionError):
    """The connection or the answer ended before the answer was complete."""


class Wire(H2Connection):
    """Reports RST_STREAM and GOAWAY as events and keeps the connection usable; `connection.py` handles the events."""

    def _receive_rst_stream_frame(self, frame: RstStreamFrame) -> tuple[list[Frame], list[Event]]:
        """Report a reset even if both sides had already ended the stream. h2 would ignore it."""
        frames, events = super()._receive_rst_stream_frame(frame)
        return frames, events or [StreamReset(stream_id=frame.stream_id, error_code=frame.error_code)]

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[Event]]:
        """Report a GOAWAY. Streams up to its last stream id continue (RFC 9113, 6.8); h2 would refuse their frames."""
        event = ConnectionTerminated()
        event.error_code = frame.error_code
        event.last_stream_id = frame.last_stream_id
        return [], [event]


def name_of(code: int | None) -> str:
    """Return the name of an HTTP/2 error code, or its number if it has no name."""
    try:
        return ErrorCodes(code or 0).name
    except ValueError:
        return str(code)
