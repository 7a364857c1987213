"""Run database work from the event loop in a pool of threads, and share queries between concurrent callers.

Consumers, feeds and workers call this. Django's `sync_to_async` uses one thread per process outside of requests, so one
slow query would delay every consumer and every running job.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from asgiref.sync import SyncToAsync
from django.core.management.base import CommandError
from django.db import InterfaceError, InternalError, OperationalError, connection, connections
from django.db.migrations.executor import MigrationExecutor

from streaming import metrics, outages

Parameters = ParamSpec("Parameters")
Value = TypeVar("Value")

# Errors of a database that is unavailable, locked or (PostgreSQL: "internal") read-only for now. A retry may succeed,
# unlike after the errors for data that the database refuses.
TRANSIENT = (OperationalError, InterfaceError, InternalError)
THREADS = 4
_executor = ThreadPoolExecutor(THREADS, thread_name_prefix="database")


def require_migrated() -> None:
    """Raise `CommandError` if migrations are pending or the database does not answer."""
    try:
        executor = MigrationExecutor(connection)
    except OperationalError as error:
        raise CommandError(f"The database does not answer: {str(error).strip()}") from error
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise CommandError("The database is of another version: run `manage.py migrate` first (`make run` does).")


def try_lock_until_commit(name: str) -> bool:
    """Acquire a named lock until the commit, without waiting. Returns False if another transaction holds it."""
    if connection.vendor != "postgresql":
        return True  # SQLite allows one write transaction at a time
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [name])
        is_held: bool = cursor.fetchone()[0]
    return is_held


_shared_tasks: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, asyncio.Future[Any]]] = WeakKeyDictionary()


async def shared(key: Hashable, make: Callable[[], Awaitable[Value]], seconds: float = 0.0) -> Value:
    """Return the result of `make`, called once for all concurrent callers with the same `key`.

    The result is cached for another `seconds`; an exception is raised to the concurrent callers, but not cached. For
    hundreds of viewers that connect at the same moment.
    """
    tasks = _shared_tasks.setdefault(asyncio.get_running_loop(), {})
    task = tasks.get(key)
    if task is None:
        task = tasks[key] = asyncio.ensure_future(make())
        task.add_done_callback(partial(_finished, tasks, key, seconds))
    return await asyncio.shield(task)  # shielded: one caller's cancellation must not cancel the shared query


def _finished(tasks: dict[Hashable, asyncio.Future[Any]], key: Hashable, seconds: float, task: Any) -> None:
    def forget() -> None:
        if tasks.get(key) is task:
            del tasks[key]

    if seconds and not task.cancelled() and task.exception() is None:
        asyncio.get_running_loop().call_later(seconds, forget)
    else:
        forget()


def clear_shared() -> None:
    """Clear the cache of `shared`. Later callers do not join calls in progress either."""
    _shared_tasks.pop(asyncio.get_running_loop(), None)


class InThread(SyncToAsync):
    """`SyncToAsync` that replaces dead connections, and records outages of the database and their end."""

    def thread_handler(self, *args: Any, **kwargs: Any) -> Any:
        close_dead_connections()
        try:
            result = super().thread_handler(*args, **kwargs)
        except TRANSIENT as error:
            metrics.FAILURES.labels("database").inc()
            if outages.outage_in(error):
                outages.DATABASE.failed(error)
            raise
        else:
            outages.DATABASE.worked()
            return result
        finally:
            close_dead_connections()


def close_dead_connections() -> None:
    """Close unusable connections of this thread. Connections to PostgreSQL return to their pool."""
    for each in connections.all(initialized_only=True):
        if each.vendor == "sqlite":
            each.close_at = None  # never too old: opening the file takes longer than most queries
        each.close_if_unusable_or_obsolete()


def in_thread(function: Callable[Parameters, Value]) -> Callable[Parameters, Awaitable[Value]]:
    """Return an awaitable version of `function` that runs in the pool with a usable database connection."""
    wrapped: Callable[Parameters, Awaitable[Value]] = InThread(function, thread_sensitive=False, executor=_executor)
    return wrapped
