"""Log outages of the database, the channel layer and the storage in a few lines instead of many tracebacks.

During an outage, our own code and libraries fail repeatedly. Each part logs one line when an outage begins, one every
ten seconds while it lasts, and one when it ends. `OutageFilter` drops all other records with such an error.
"""

import logging
import sqlite3
import time

from django.db import InterfaceError, InternalError, OperationalError

logger = logging.getLogger(__name__)

REPEAT_SECONDS = 10.0
REASON_CHARACTERS = 300
# Primary result codes of SQLite: busy, locked, read-only, I/O error, full, can't open. All others are bugs.
SQLITE_CODES = frozenset({5, 6, 8, 10, 13, 14})
# Classes of PostgreSQL's SQLSTATE: connection, read-only, rollback, resources, locks, shutdown, system.
SQLSTATE_CLASSES = frozenset({"08", "25", "40", "53", "55", "57", "58"})


class Outage:
    """The state of one part, as seen by this process. Not locked: at worst two threads log the same line."""

    def __init__(self, part: str) -> None:
        self.part = part
        self.is_away = False
        self._away_at = 0.0
        self._logged_at = -REPEAT_SECONDS

    def failed(self, error: BaseException) -> None:
        """Record a failure. Logs at most one line in ten seconds, also for a part that fails intermittently."""
        now = time.monotonic()
        if now - self._logged_at < REPEAT_SECONDS:
            return
        if not self.is_away:
            self.is_away, self._away_at = True, now
        self._logged_at = now
        # The first line of an error is its message. Later lines may quote rows of the database.
        reason = f"{type(error).__name__}: {error}".strip().splitlines()[0][:REASON_CHARACTERS]
        logger.warning("The %s is unavailable: %s", self.part, reason)

    def worked(self) -> None:
        """Record a success, and log the end of the outage if there was one."""
        if self.is_away:
            self.is_away = False
            logger.warning("The %s is available again after %.0f s", self.part, time.monotonic() - self._away_at)


DATABASE, CHANNEL_LAYER, STORAGE = Outage("database"), Outage("channel layer"), Outage("storage")
CLIENTS = {"redis": CHANNEL_LAYER, "botocore": STORAGE, "boto3": STORAGE}


def outage_in(error: BaseException | None) -> Outage | None:
    """Return the part whose outage caused an error, or None if the error is a bug."""
    if isinstance(error, BaseExceptionGroup):
        parts = {outage_in(each) for each in error.exceptions}
        return parts.pop() if len(parts) == 1 else None
    if isinstance(error, OperationalError | InterfaceError | InternalError):
        return DATABASE if _is_away(error.__cause__) else None
    # By name of the package, because these clients are imported only if Redis or a bucket is configured.
    return CLIENTS.get(type(error).__module__.partition(".")[0])


def _is_away(cause: BaseException | None) -> bool:
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF in SQLITE_CODES
    state = getattr(cause, "sqlstate", None)  # None: no connection, or no free one in the pool
    return cause is not None and (state is None or state[:2] in SQLSTATE_CLASSES)


class OutageFilter(logging.Filter):
    """Drops tracebacks of outages, and removes those of requests that were answered with a 4xx status."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        outage = outage_in(error)
        if outage is not None and error is not None:
            outage.failed(error)
            return False
        if 400 <= getattr(record, "status_code", 0) < 500:  # Django sets it on records about requests
            record.exc_info = record.exc_text = None
        return True
