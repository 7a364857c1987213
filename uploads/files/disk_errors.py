"""Which errors mean a full disk: the one that recordings are on, the database's, or the bucket's."""

import errno
from collections.abc import Iterator

from django.db import Error


def is_full(error: BaseException) -> bool:
    """Return whether an error, or one that caused it, says that a disk or a quota is full."""
    return any(_is_full(each) for each in causes(error))


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, then the one that caused it, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _is_full(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in {errno.ENOSPC, errno.EDQUOT}
    if not isinstance(error, Error):
        return False
    # PostgreSQL has a code for it. SQLite says so, or fails to enlarge a file beside the database.
    return getattr(error.__cause__, "sqlstate", None) == "53100" or "disk is full" in str(error)
