"""Database work from the event loop, in threads of its own.

Django's `sync_to_async` has one thread for a whole process outside of requests: one slow query would hold up every
consumer and every running job.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from asgiref.sync import SyncToAsync
from django.core.management.base import CommandError
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor

Parameters = ParamSpec("Parameters")
Value = TypeVar("Value")

THREADS = 4
_executor = ThreadPoolExecutor(THREADS, thread_name_prefix="database")


def refuse_unmigrated() -> None:
    """Raise `CommandError` where the database has not the tables of this version."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise CommandError("The database is of another version: run `manage.py migrate` first (`make run` does).")


def lock_until_commit(name: str) -> None:
    """Wait until no other transaction holds the lock of that name, and hold it."""
    if connection.vendor == "postgresql":  # SQLite has one writer at a time
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])


_flights: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, asyncio.Future[Any]]] = WeakKeyDictionary()


async def shared(key: Hashable, make: Callable[[], Awaitable[Value]]) -> Value:
    """Return what `make` returns, made once for all who ask for the same `key` while it is being made.

    Nobody gets what was made before they asked but for that: for hundreds who come at the same moment.
    """
    flights = _flights.setdefault(asyncio.get_running_loop(), {})
    flight = flights.get(key)
    if flight is None:
        flight = flights[key] = asyncio.ensure_future(make())
        flight.add_done_callback(lambda _: flights.pop(key, None))
    return await asyncio.shield(flight)  # who leaves takes nothing from the others


class InThread(SyncToAsync):
    def thread_handler(self, *args: Any, **kwargs: Any) -> Any:
        replace_dead_connections()
        try:
            return super().thread_handler(*args, **kwargs)
        finally:
            replace_dead_connections()


def replace_dead_connections() -> None:
    """Close the connections of this thread that have died; those to a server go back to their pool."""
    for each in connections.all(initialized_only=True):
        if each.vendor == "sqlite":
            each.close_at = None  # a file does not grow old, and to open it takes longer than most of what is asked
        each.close_if_unusable_or_obsolete()


def in_thread(function: Callable[Parameters, Value]) -> Callable[Parameters, Awaitable[Value]]:
    """Return `function` to be awaited, with a database connection that lives."""
    wrapped: Callable[Parameters, Awaitable[Value]] = InThread(function, thread_sensitive=False, executor=_executor)
    return wrapped
