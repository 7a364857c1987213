"""Database work from the event loop, in threads of its own.

Django's `sync_to_async` has one thread for a whole process outside of requests: one slow query would hold up every
consumer and every running job.
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

# What a database raises that is away, locked or (PostgreSQL: "internal") may not be written for now. What it will
# never take raises something else.
TRANSIENT = (OperationalError, InterfaceError, InternalError)
THREADS = 4
_executor = ThreadPoolExecutor(THREADS, thread_name_prefix="database")


def require_migrated() -> None:
    """Raise `CommandError` where the database has not the tables of this version, or does not answer."""
    try:
        executor = MigrationExecutor(connection)
    except OperationalError as error:
        raise CommandError(f"The database does not answer: {str(error).strip()}") from error
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise CommandError("The database is of another version: run `manage.py migrate` first (`make run` does).")


def try_lock_until_commit(name: str) -> bool:
    """Hold the lock of that name until the commit, unless another transaction holds it. Returns whether we do."""
    if connection.vendor != "postgresql":
        return True  # SQLite has one writer at a time
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [name])
        is_held: bool = cursor.fetchone()[0]
    return is_held


_shared_tasks: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, asyncio.Future[Any]]] = WeakKeyDictionary()


async def shared(key: Hashable, make: Callable[[], Awaitable[Value]], seconds: float = 0.0) -> Value:
    """Return what `make` returns, made once for all who ask for the same `key` until `seconds` after it was made.

    For hundreds who come at the same moment. What fails is not kept.
    """
    tasks = _shared_tasks.setdefault(asyncio.get_running_loop(), {})
    task = tasks.get(key)
    if task is None:
        task = tasks[key] = asyncio.ensure_future(make())
        task.add_done_callback(partial(_finished, tasks, key, seconds))
    return await asyncio.shield(task)  # who leaves takes nothing from the others


def _finished(tasks: dict[Hashable, asyncio.Future[Any]], key: Hashable, seconds: float, task: Any) -> None:
    def forget() -> None:
        if tasks.get(key) is task:
            del tasks[key]

    if seconds and not task.cancelled() and task.exception() is None:
        asyncio.get_running_loop().call_later(seconds, forget)
    else:
        forget()


def clear_shared() -> None:
    """Have everybody who asks from now on get an answer of their own."""
    _shared_tasks.pop(asyncio.get_running_loop(), None)


class InThread(SyncToAsync):
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
    """Close the connections of this thread that have died; those to a server go back to their pool."""
    for each in connections.all(initialized_only=True):
        if each.vendor == "sqlite":
            each.close_at = None  # a file does not grow old, and to open it takes longer than most of what is asked
        each.close_if_unusable_or_obsolete()


def in_thread(function: Callable[Parameters, Value]) -> Callable[Parameters, Awaitable[Value]]:
    """Return `function` to be awaited, with a database connection that lives."""
    wrapped: Callable[Parameters, Awaitable[Value]] = InThread(function, thread_sensitive=False, executor=_executor)
    return wrapped
