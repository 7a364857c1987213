"""The record that the stand-in keeps of a request. Tests check with it the data that a client has sent."""

from dataclasses import dataclass, field

from tests.standin.requests import Request

LEAST_BILLED_SECONDS = 15


@dataclass
class Record:
    """One request as the service saw it, and the number of its connection. Times are the event loop's.

    `end` is `open`, `end_stream` (ended by the client, and finished), `left` (the client disconnected first),
    `limit` (four hours), `exception` (a rule was violated mid-stream), `fault` or `refused`.
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
    has_client_goaway: bool = False  # a graceful GOAWAY, before the stream's end
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
