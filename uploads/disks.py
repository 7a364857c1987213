"""Which errors mean a full disk: the one that recordings are on, or the database's."""

import errno

from django.db import Error


def is_full(error: BaseException) -> bool:
    """Return whether an error, of the system or of a database, says that a disk or a quota is full."""
    if isinstance(error, OSError):
        return error.errno in {errno.ENOSPC, errno.EDQUOT}
    if not isinstance(error, Error):
        return False
    # PostgreSQL has a code for it. SQLite says so, or fails to enlarge a file beside the database.
    return getattr(error.__cause__, "sqlstate", None) == "53100" or "disk is full" in str(error)
