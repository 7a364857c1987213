"""Database connections and slow work.

A process has 16 connections to PostgreSQL, and Django returns a request's connection to the pool only when the client
has read the whole response. Callers release it before they wait for a client, a decoder, a storage or a password hash.
"""

from django.db import connections


def release() -> None:
    """Return this thread's connections to their pool; the next query takes one again.

    A connection inside a transaction stays. SQLite has no pool, and opening its file again takes longer than a query.
    """
    for connection in connections.all(initialized_only=True):
        if connection.vendor == "postgresql" and not connection.in_atomic_block:
            connection.close()
