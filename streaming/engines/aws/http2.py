"""HTTP/2 for `connection.py`: the h2 library, with two frames of RFC 9113 that it handles too strictly."""

from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, Event, StreamReset
from hyperframe.frame import Frame, GoAwayFrame, RstStreamFrame


class CutOff(ConnectionError):
    """The connection ended, or the service ended the answer, in another way than at the end of a good answer."""


class Wire(H2Connection):
    """Reports two frames as events and leaves the connection usable; `connection.py` decides what follows."""

    def _receive_rst_stream_frame(self, frame: RstStreamFrame) -> tuple[list[Frame], list[Event]]:
        """Report a reset also where both sides had ended the stream before: h2 ignores it there."""
        frames, events = super()._receive_rst_stream_frame(frame)
        return frames, events or [StreamReset(stream_id=frame.stream_id, error_code=frame.error_code)]

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[Event]]:
        """Report a GOAWAY. h2 would refuse every later frame, yet streams up to the last one go on (section 6.8)."""
        event = ConnectionTerminated()
        event.error_code = frame.error_code
        event.last_stream_id = frame.last_stream_id
        return [], [event]


def name_of(code: int | None) -> str:
    """Return an error code of HTTP/2 by its name, or by its number where it has none."""
    try:
        return ErrorCodes(code or 0).name
    except ValueError:
        return str(code)
