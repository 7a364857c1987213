"""The faults that a test can inject. The stand-in applies each `Fault` in its list to one request."""

from dataclasses import dataclass

from tests.standin import messages
from tests.standin.connection import Connection
from tests.standin.results import NOTHING

_KINDS = (
    "refuse exception cut cut_in_frame cut_at_byte close half_close reset goaway bad_checksum hang hang_start "
    "hang_connect pause never_ends drop_last no_window payload unread drain drain_twice"
)
KINDS = frozenset(_KINDS.split())
# Faults that end a stream without an error from the service.
BREAKING = frozenset({"cut", "cut_in_frame", "close", "half_close", "reset", "goaway", "bad_checksum"})
# Events that HTTP/2 allows, so that no client may fail because of them.
DRAINING = frozenset({"drain", "drain_twice"})


@dataclass(frozen=True)
class Fault:
    """One fault, injected at `at` seconds of a stream's audio (None: as soon as the request is accepted).

    - `refuse:<Exception>`: the response is that exception
    - `exception:<Exception>`: that exception mid-stream
    - `cut`, `cut_in_frame`: the connection breaks, the latter in the middle of an event's message
    - `cut_at_byte`: it breaks when `count` bytes of the response's body have been sent
    - `close`: the response ends cleanly before the client's end, and the service resets the stream so that the client
      stops sending; `half_close`: without the reset. Neither happens if the client has already ended its audio
    - `unread`: the service reads no more audio. After the client's end the response ends cleanly and the service resets
      the stream, as if it had not read the end. With an `at` that is never reached, it reads all audio before
    - `reset`, `goaway`: the service sends RST_STREAM, or GOAWAY with an error
    - `drain`: a graceful GOAWAY: the stream continues to its end, and then the connection is closed. `drain_twice`:
      announced by a GOAWAY with the highest stream id. With an `at` that is never reached: before the last final
    - `bad_checksum`: an event whose checksum is wrong
    - `hang_connect`: no TLS handshake; `hang_start`: no response headers; `hang`: from then on the service neither
      sends nor reads, while the connection stays open
    - `pause`: results are delayed for `seconds` and then sent together
    - `no_window`: the service grants no flow-control window and sends no results, but answers PINGs
    - `payload`: an event whose payload is `message`
    - `never_ends`: after `end_stream` the service sends neither the last final nor the end
    - `drop_last`: after `end_stream` the response ends without a final for the last partial
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
    """Inject a fault of BREAKING into a response that has begun."""
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
