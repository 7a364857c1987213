"""What the service remembers of a request: a test looks here at what a client really did."""

from dataclasses import dataclass, field

from tests.standin.requests import Request

LEAST_BILLED_SECONDS = 15


@dataclass
class Record:
    """What the service saw of one request, and the number of its connection. Times are the event loop's.

    `end` is `open`, `end_stream` (asked for by the client, and finished), `left` (the client went away first),
    `limit` (four hours), `exception` (a rule was broken in mid-stream), `fault` or `refused`.
    """

    headers: dict[str, str]
    started_at: float
    connection: int
    options: Request | None = None
    session_id: str = ""
    ended_at: float | None = None
    chunks: int = 0
    largest_chunk_bytes: int = 0
    silent_seconds: float = 0.0
    numbers: list[tuple[int, float]] = field(default_factory=list)
    fragments: int = 0
    end: str = "open"
    exception: str = ""
    has_client_goaway: bool = False  # a graceful one, before the stream's end
    audio_bytes: int = 0

    @property
    def audio_seconds(self) -> float:
        return self.audio_bytes / self.options.bytes_per_second if self.options else 0.0

    @property
    def billed_seconds(self) -> int:
        if self.options is None:
            return 0
        return max(LEAST_BILLED_SECONDS, -(-self.audio_bytes // self.options.bytes_per_second))

    @property
    def first_number(self) -> int | None:
        return self.numbers[0][0] if self.numbers else None
