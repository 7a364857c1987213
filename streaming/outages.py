"""Log lines about a part that is away: one when it goes, one every ten seconds, one when it is back; no traceback.

Callers of the database, the channel layer and the storage fail repeatedly during an outage, and so do libraries.
`OutageFilter` replaces each log record with such an error by the line of its part.
"""

import logging
import sqlite3
import time

from django.db import InterfaceError, InternalError, OperationalError

logger = logging.getLogger(__name__)

REPEAT_SECONDS = 10.0
REASON_CHARACTERS = 300
# Primary result codes of SQLite: busy, locked, read-only, I/O error, full, can't open. Others are faults of ours.
SQLITE_CODES = frozenset({5, 6, 8, 10, 13, 14})
# Classes of PostgreSQL's SQLSTATE: connection, read-only, rollback, resources, locks, shutdown, system.
SQLSTATE_CLASSES = frozenset({"08", "25", "40", "53", "55", "57", "58"})


class Outage:
    """One part of the site as this process sees it. Called from any thread: at worst two threads log the same line."""

    def __init__(self, part: str) -> None:
        self.part = part
        self.is_away = False
        self._away_at = 0.0
        self._logged_at = -REPEAT_SECONDS

    def failed(self, error: BaseException) -> None:
        """Note a failure. Logs at most once in ten seconds, also for a part that comes and goes."""
        now = time.monotonic()
        if now - self._logged_at < REPEAT_SECONDS:
            return
        if not self.is_away:
            self.is_away, self._away_at = True, now
        self._logged_at = now
        # The first line of an error says what is wrong; more may quote rows.
        reason = f"{type(error).__name__}: {error}".strip().splitlines()[0][:REASON_CHARACTERS]
        logger.warning("The %s is away: %s", self.part, reason)

    def worked(self) -> None:
        """Note that the part answers."""
        if self.is_away:
            self.is_away = False
            logger.warning("The %s is back after %.0f s", self.part, time.monotonic() - self._away_at)


DATABASE, CHANNEL_LAYER, STORAGE = Outage("database"), Outage("channel layer"), Outage("storage")
CLIENTS = {"redis": CHANNEL_LAYER, "botocore": STORAGE, "boto3": STORAGE}


def outage_in(error: BaseException | None) -> Outage | None:
    """Return the part that an error says is away, or None for a fault."""
    if isinstance(error, BaseExceptionGroup):
        parts = {outage_in(each) for each in error.exceptions}
        return parts.pop() if len(parts) == 1 else None
    if isinstance(error, OperationalError | InterfaceError | InternalError):
        return DATABASE if _is_away(error.__cause__) else None
    # Clients that are loaded only where there is a Redis or a bucket.
    return CLIENTS.get(type(error).__module__.partition(".")[0])


def _is_away(cause: BaseException | None) -> bool:
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF in SQLITE_CODES
    state = getattr(cause, "sqlstate", None)  # None: there is no connection, or none was free in the pool
    return cause is not None and (state is None or state[:2] in SQLSTATE_CLASSES)


class OutageFilter(logging.Filter):
    """Keeps needless tracebacks out of the log: of parts that are away, and of requests that were refused."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        outage = outage_in(error)
        if outage is not None and error is not None:
            outage.failed(error)
            return False
        if 400 <= getattr(record, "status_code", 0) < 500:  # Django sets it on records about requests
            record.exc_info = record.exc_text = None
        return True
