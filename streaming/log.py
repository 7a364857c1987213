"""Log filters and formatters: they add the job to each line, limit repeated lines, and redact transcripts.

`job_context` marks the lines of a job. The settings install the filters and one of the formatters on the handler.
"""

import json
import logging
import re
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

REPEAT_SECONDS = 10.0
MOST_LINES = 1000  # distinct lines that `RateLimitFilter` remembers

_job: ContextVar[tuple[UUID, int] | None] = ContextVar("job", default=None)

# PostgreSQL quotes the affected row in its errors, which may contain a transcript or a session key.
DETAIL = re.compile(r"\bDETAIL: .*?(?=\n\n|\Z)", re.DOTALL)


@contextmanager
def job_context(job_id: UUID, attempt: int) -> Iterator[None]:
    """Add a job and its attempt to all lines logged inside, also in tasks and threads started there."""
    token = _job.set((job_id, attempt))
    try:
        yield
    finally:
        _job.reset(token)


class JobFilter(logging.Filter):
    """Sets `job` (text) and `attempt` (number) on each record, or None, and `about`, the text of both for a line."""

    def filter(self, record: logging.LogRecord) -> bool:
        job_id, attempt = _job.get() or (None, None)
        record.job = None if job_id is None else str(job_id)
        record.attempt = attempt
        record.about = "" if job_id is None else f" [job {job_id} attempt {attempt}]"
        return True


class RateLimitFilter(logging.Filter):
    """Drops repetitions of a line within ten seconds, for the named loggers and for our own lines with a traceback.

    The same line about another job is not a repetition. All other lines pass.
    """

    def __init__(self, names: Collection[str]) -> None:
        super().__init__()
        self._names = frozenset(names)
        self._silent_until: dict[tuple[str, str, str | None], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        is_ours = record.exc_info is not None and record.name.startswith("streaming.")
        if record.name not in self._names and not is_ours:
            return True
        line, now = (record.name, record.msg, getattr(record, "job", None)), time.monotonic()
        if now < self._silent_until.get(line, 0.0):
            return False
        if len(self._silent_until) >= MOST_LINES:
            self._silent_until.clear()  # simple bound on memory; most entries are of jobs that ended long ago
        self._silent_until[line] = now + REPEAT_SECONDS
        return True


class LineFormatter(logging.Formatter):
    """Formats a record as one line for people, with a traceback on further lines."""

    def __init__(self) -> None:
        super().__init__("{asctime} {levelname} {name}{about}: {message}", style="{")

    def formatMessage(self, record: logging.LogRecord) -> str:
        return redacted(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        return redacted(super().formatException(ei))


class JsonFormatter(logging.Formatter):
    """Formats a record as a JSON object: time, level, logger, message, and if present job, attempt and error."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": redacted(record.getMessage()),
        }
        if getattr(record, "job", None) is not None:
            line |= {"job": record.job, "attempt": record.attempt}  # type: ignore[attr-defined]
        if record.exc_info:
            line["error"] = redacted(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def redacted(text: str) -> str:
    """Return a text with the rows that PostgreSQL quotes in it replaced."""
    return DETAIL.sub("DETAIL: (withheld)", text)
