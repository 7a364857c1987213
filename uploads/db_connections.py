"""Returns database connections to their pool before slow work.

A process has 16 connections to PostgreSQL. Django returns the connection of a request to the pool only after the client
has read the whole response. So views call `release` before they wait for a client, a decoder, the storage or a password
hash; otherwise 16 slow clients would block all other requests.
"""

from django.db import connections


def release() -> None:
    """Return this thread's PostgreSQL connections to their pool. The next query gets one from the pool again.

    Connections inside a transaction are kept. So are SQLite's: it has no pool, and reopening takes longer than a query.
    """
    for connection in connections.all(initialized_only=True):
        if connection.vendor == "postgresql" and not connection.in_atomic_block:
            connection.close()
