"""The log during an outage: one line for its start, its end and every ten seconds, and no traceback."""

import logging
import sqlite3

import psycopg
import pytest
import redis
from botocore.exceptions import EndpointConnectionError
from django.core.exceptions import SuspiciousOperation
from django.db import DataError, OperationalError

from streaming import outages
from streaming.log import RateLimitFilter
from streaming.outages import CHANNEL_LAYER, DATABASE, STORAGE, Outage, OutageFilter, outage_in


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(outages, "time", clock)
    return clock


def caused_by(cause: Exception | None, kind: type[Exception] = OperationalError) -> Exception:
    """Return an error as Django raises it for an error of a driver."""
    error = kind(str(cause))
    error.__cause__ = cause
    return error


def locked_by_sqlite() -> Exception:
    one, other = (
        sqlite3.connect("file:locked?mode=memory&cache=shared", uri=True),
        sqlite3.connect("file:locked?mode=memory&cache=shared", uri=True, timeout=0),
    )
    try:
        one.execute("create table t (x)")
        one.execute("begin immediate")
        one.execute("insert into t values (1)")
        with pytest.raises(sqlite3.OperationalError) as raised:
            other.execute("insert into t values (2)")
        return raised.value
    finally:
        one.close()
        other.close()


def unknown_table() -> Exception:
    connection = sqlite3.connect(":memory:")
    try:
        with pytest.raises(sqlite3.OperationalError) as raised:
            connection.execute("select * from nothing")
        return raised.value
    finally:
        connection.close()


def test_distinguishes_outages_from_bugs() -> None:
    away = caused_by(psycopg.OperationalError("connection refused"))
    assert outage_in(away) is DATABASE
    assert outage_in(caused_by(psycopg.errors.LockNotAvailable("lock timeout"))) is DATABASE
    assert outage_in(caused_by(locked_by_sqlite())) is DATABASE
    assert outage_in(ExceptionGroup("attempt", [away, away])) is DATABASE
    assert outage_in(redis.exceptions.ConnectionError("refused")) is CHANNEL_LAYER
    assert outage_in(EndpointConnectionError(endpoint_url="http://bucket")) is STORAGE
    for fault in (
        caused_by(unknown_table()),
        caused_by(psycopg.errors.InvalidTextRepresentation("bad uuid"), DataError),
        caused_by(None),
        ExceptionGroup("attempt", [away, KeyError("job")]),
        KeyError("job"),
        None,
    ):
        assert outage_in(fault) is None, fault


def test_outage_logs_its_start_its_end_and_a_line_every_ten_seconds(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    part = Outage("database")
    for _ in range(250):
        part.failed(OperationalError("connection refused\nDETAIL: a row"))
        clock.now += 0.1
    part.worked()
    part.worked()
    assert caplog.messages == [
        *["The database is unavailable: OperationalError: connection refused"] * 3,
        "The database is available again after 25 s",
    ]


def test_intermittent_outage_does_not_flood_the_log(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    part = Outage("database")
    for _ in range(200):
        part.failed(OperationalError("lock timeout"))
        part.worked()
        clock.now += 0.1
    assert len(caplog.messages) == 4


def record(name: str, error: Exception | None = None, **fields: object) -> logging.LogRecord:
    info = (type(error), error, None) if error else None
    return logging.makeLogRecord({"name": name, "msg": "It failed", "exc_info": info, **fields})


def test_refused_request_logs_no_traceback_but_a_bug_does() -> None:
    refused = record("django.security", SuspiciousOperation("bad host"), status_code=400)
    fault = record("django.request", KeyError("job"), status_code=500)
    assert (OutageFilter().filter(refused), refused.exc_info) == (True, None)
    assert OutageFilter().filter(fault)
    assert fault.exc_info is not None


def test_repeated_traceback_is_logged_once_in_ten_seconds_per_job() -> None:
    limiter = RateLimitFilter([])
    faults = [record("streaming.worker.runner", KeyError("x"), job=job) for job in ("one", "one", "two")]
    assert [limiter.filter(each) for each in faults] == [True, False, True]
    assert all(limiter.filter(record("streaming.worker.runner")) for _ in range(3)), "lines without a traceback pass"
    assert all(limiter.filter(record("django.request", KeyError("x"))) for _ in range(3)), "tracebacks of requests pass"
