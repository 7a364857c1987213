"""Lines of the log: each that is about a job says so, and none says what was said in it.

`about` marks what happens inside it, in tasks and threads too; the settings put the filter and one of the formatters on
the handler.
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
MOST_LINES = 1000  # that are remembered

_job: ContextVar[tuple[UUID, int] | None] = ContextVar("job", default=None)

# What PostgreSQL adds to an error is the row that it is about: a transcript's words, a session's key.
DETAIL = re.compile(r"\bDETAIL: .*?(?=\n\n|\Z)", re.DOTALL)


@contextmanager
def job_context(job_id: UUID, attempt: int) -> Iterator[None]:
    """Have the lines that are logged inside name a job, and which attempt at it."""
    token = _job.set((job_id, attempt))
    try:
        yield
    finally:
        _job.reset(token)


class JobFilter(logging.Filter):
    """Gives each record `job` (a text) and `attempt` (a number), or None, and both as words in `about`."""

    def filter(self, record: logging.LogRecord) -> bool:
        job_id, attempt = _job.get() or (None, None)
        record.job = None if job_id is None else str(job_id)
        record.attempt = attempt
        record.about = "" if job_id is None else f" [job {job_id} attempt {attempt}]"
        return True


class RateLimitFilter(logging.Filter):
    """Passes the lines of these loggers once in ten seconds, and so each traceback of ours about the same job."""

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
            self._silent_until.clear()  # of jobs that ended long ago, mostly
        self._silent_until[line] = now + REPEAT_SECONDS
        return True


class LineFormatter(logging.Formatter):
    """A line for people; a traceback has lines of its own."""

    def __init__(self) -> None:
        super().__init__("{asctime} {levelname} {name}{about}: {message}", style="{")

    def formatMessage(self, record: logging.LogRecord) -> str:
        return redacted(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        return redacted(super().formatException(ei))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message; job, attempt and error where there are such."""

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
    """Return a text without the rows that a database quotes in it."""
    return DETAIL.sub("DETAIL: (withheld)", text)
