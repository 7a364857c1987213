"""What can go wrong on purpose: a `Fault` is given to the service, which lets one request have it."""

from dataclasses import dataclass

from tests.standin import messages
from tests.standin.connection import Connection
from tests.standin.results import NOTHING

_KINDS = (
    "refuse exception cut cut_in_frame cut_at_byte close half_close reset goaway bad_checksum hang hang_start "
    "hang_connect pause never_ends drop_last no_window payload unread drain drain_twice"
)
KINDS = frozenset(_KINDS.split())
# Those of them that end a stream without a word of the service's own.
BREAKING = frozenset({"cut", "cut_in_frame", "close", "half_close", "reset", "goaway", "bad_checksum"})
# Those that no client should notice: HTTP/2 allows them.
DRAINING = frozenset({"drain", "drain_twice"})


@dataclass(frozen=True)
class Fault:
    """One fault, at `at` seconds of a stream's audio (None: as soon as the request is accepted).

    - `refuse:<Exception>`: the response is that exception
    - `exception:<Exception>`: that exception in mid-stream
    - `cut`, `cut_in_frame`: the connection breaks, the latter in the middle of an event's message
    - `cut_at_byte`: it breaks when `count` bytes of the response's body have been sent
    - `close`: the response ends cleanly, unasked, and the client is told to stop sending; `half_close`: it isn't told.
      Neither happens once the client's end has come: nobody ends early what he has heard to the end
    - `unread`: nothing more is heard, and after the client's end the response ends cleanly and the client is told to
      stop sending, as if its end had not been read yet; at a moment that never comes, everything was heard before
    - `reset`, `goaway`: HTTP/2's ways to say no more of a stream, or of a connection
    - `drain`: a graceful GOAWAY: the stream continues to its end, and then the connection is closed. `drain_twice`:
      announced by a GOAWAY with the highest stream id. At a moment that never comes: before the last final
    - `bad_checksum`: an event whose checksum is wrong
    - `hang_connect`: no TLS handshake; `hang_start`: no response headers; `hang`: from then on nothing is sent or
      read, while the connection stays open
    - `pause`: results are held back for `seconds`, then all come
    - `no_window`: no more sound is let in, while PINGs are answered and nothing else is said
    - `payload`: an event whose payload is `message`
    - `never_ends`: after `end_stream` neither the last final nor the end comes
    - `drop_last`: after `end_stream` the response ends, and what was a partial never becomes a final
    """

    kind: str
    at: float | None = None
    count: int = 0
    seconds: float = 12.0
    message: str = "The stand-in was told to."

    def __post_init__(self) -> None:
        if self.name not in KINDS or (self.name in ("refuse", "exception")) != bool(self.exception):
            raise ValueError(f"no such fault: {self.kind}")

    @property
    def name(self) -> str:
        return self.kind.partition(":")[0]

    @property
    def exception(self) -> str:
        return self.kind.partition(":")[2]


def break_off(fault: Fault, connection: Connection, stream_id: int) -> None:
    """Let a fault of BREAKING happen to a response that has begun."""
    event = messages.encode_event(NOTHING)
    match fault.name:
        case "cut":
            connection.cut()
        case "cut_in_frame":
            connection.send(stream_id, event[: len(event) // 2])
            connection.cut_soon()
        case "close" | "half_close":
            connection.send(stream_id, b"", is_end=True)
        case "reset":
            connection.reset(stream_id)
        case "goaway":
            connection.go_away()
        case "bad_checksum":
            connection.send(stream_id, event[:-1] + bytes([event[-1] ^ 0xFF]))
