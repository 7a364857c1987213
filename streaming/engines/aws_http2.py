"""What a connection to Amazon Transcribe is made of: whom TLS trusts, HTTP/2 with one mend, and how it ends badly."""

import ssl
from functools import lru_cache

from h2.connection import H2Connection
from h2.events import Event, StreamReset
from hyperframe.frame import Frame, RstStreamFrame

from streaming.engines.base import EngineError


class CutOff(ConnectionError):
    """The connection ended, or the service ended the answer, in another way than at the end of a good answer."""


class Wire(H2Connection):
    """Tells of a reset also where the stream had ended on both sides before: to h2 that is no news."""

    def _receive_rst_stream_frame(self, frame: RstStreamFrame) -> tuple[list[Frame], list[Event]]:
        frames, events = super()._receive_rst_stream_frame(frame)
        return frames, events or [StreamReset(stream_id=frame.stream_id, error_code=frame.error_code)]


@lru_cache(maxsize=4)
def tls_context(ca_file: str) -> ssl.SSLContext:
    """Return what trusts the system's authorities, or those in `ca_file`. Raises `EngineError` if it can't."""
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        raise EngineError(f"AWS_CA_BUNDLE={ca_file!r} can't be read: {error.strerror}.", permanent=True) from error
    context.set_alpn_protocols(["h2"])
    return context
