"""Recognises errors that mean a full disk: the disk of the recordings, the database's disk, or the bucket.

Views, jobs and the error middleware answer such errors with 507 or retry later.
"""

import errno
from collections.abc import Iterator

from django.db import Error


def is_full(error: BaseException) -> bool:
    """Return whether an error, or one of its causes, reports a full disk or an exhausted quota."""
    return any(_is_full(each) for each in causes(error))


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, then its cause, then the cause of that, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _is_full(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in {errno.ENOSPC, errno.EDQUOT}
    if not isinstance(error, Error):
        return False
    # PostgreSQL reports SQLSTATE 53100 (disk_full). SQLite has only the message.
    return getattr(error.__cause__, "sqlstate", None) == "53100" or "disk is full" in str(error)
