"""A served site whose PostgreSQL restarts, is locked or read-only: pages recover, and no job loses a word."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.postgres import Postgres
from tests.site import Site, wait_until
from tests.streaming.conftest import numbers, words
from tests.visitor import Visitor, events

SETTINGS = {
    "DJANGO_SETTINGS_MODULE": "tests.served",
    "TRANSCRIBE_MAX_JOBS": "3",
    "TRANSCRIBE_LEASE_SECONDS": "40",  # longer than any outage here, so that no job loses its lease
}
LONG_LOCK_TIMEOUT = "?options=-c%20lock_timeout%3D60s"  # appended to the database address: requests wait for locks
PACE = 10.0  # seconds of audio a second
REQUESTS_AT_ONCE = 8
LONG_OUTAGE_SECONDS = 7.0  # longer than the timeout for a connection
OUTAGE_SECONDS = 3.0
BEATS_SECONDS = 11.0  # in this time each running job extends its lease


@pytest.fixture
def site(new_site: Callable[..., Site], postgres: Postgres, database: str, request: pytest.FixtureRequest) -> Site:
    """A running site. An indirect parameter is appended to the address of its database."""
    site = new_site(DATABASE_URL=postgres.url(database) + getattr(request, "param", ""), **SETTINGS)
    site.start()
    return site


class Rows:
    """Reads the state of the site's jobs directly from the database."""

    def __init__(self, postgres: Postgres, database: str) -> None:
        self.read = lambda query: postgres.execute(query, database)

    def finals(self, job: str) -> int:
        count: int = self.read(f"select segment_count from streaming_job where id = '{job}'")[0][0]
        return count

    def has_ended(self, job: str) -> bool:
        status = self.read(f"select status from streaming_job where id = '{job}'")[0][0]
        return status not in ("queued", "running")

    def outcome(self, job: str) -> tuple[str, int, list[str]]:
        """Return a job's status, its number of attempts, and its words."""
        status, attempt = self.read(f"select status, attempt from streaming_job where id = '{job}'")[0]
        texts = self.read(f"select text from streaming_segment where job_id = '{job}' order by start_time, seq")
        return status, attempt, " ".join(text for (text,) in texts).split()


@pytest.fixture
def rows(postgres: Postgres, database: str) -> Rows:
    return Rows(postgres, database)


class Watcher(threading.Thread):
    """A viewer that reconnects when its socket closes, until the job has ended."""

    def __init__(self, visitor: Visitor, job: str) -> None:
        super().__init__()
        self.finals: dict[int, str] = {}
        self._visitor, self._job = visitor, job
        self.start()

    def run(self) -> None:
        while True:
            try:
                with self._visitor.watch(self._job, after=max(self.finals, default=0)) as socket:
                    for event in events(socket):
                        if self._apply(event) == "completed":
                            return
            except ConnectionClosed:
                time.sleep(0.5)  # roughly as long as the page waits

    def _apply(self, event: dict[str, Any]) -> object:
        segments = [event["segment"]] if event["type"] == "final" else event.get("segments", [])
        for segment in segments:
            assert segment["seq"] not in self.finals
            self.finals[segment["seq"]] = segment["text"]
        return event.get("job", {}).get("status")

    @property
    def words(self) -> list[str]:
        self.join(timeout=60)
        return " ".join(self.finals[seq] for seq in sorted(self.finals)).split()


@contextmanager
def locked(postgres: Postgres, database: str, statement: str) -> Iterator[None]:
    """Hold the locks of a statement in another transaction."""
    with postgres.connect(database) as other, other.transaction():
        other.execute(statement)  # type: ignore[call-overload]
        yield


def statuses(visitor: Visitor) -> list[int]:
    """Request the library several times at once and return the statuses."""
    with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
        answers = [pool.submit(visitor.http.get, "/") for _ in range(REQUESTS_AT_ONCE)]
        return [answer.result().status_code for answer in answers]


@pytest.mark.parametrize("site", [LONG_LOCK_TIMEOUT], indirect=True)
def test_every_page_works_at_once_after_a_restart_of_an_idle_database(
    visitor: Visitor, postgres: Postgres, database: str
) -> None:
    def used() -> int:
        count: int = postgres.execute(f"select count(*) from pg_stat_activity where datname = '{database}'")[0][0]
        return count

    with ThreadPoolExecutor(1) as asking:
        # Requests that wait for the locked table fill the connection pool.
        with locked(postgres, database, "lock table uploads_upload in access exclusive mode"):
            waiting = asking.submit(statuses, visitor)
            wait_until(lambda: used() > REQUESTS_AT_ONCE, what="the filling of the pool")
        assert waiting.result() == [200] * REQUESTS_AT_ONCE
    postgres.restart()
    began = time.monotonic()
    assert visitor.http.get("/").status_code == 200  # although all connections in the pool are dead
    assert time.monotonic() - began < 10.0
    assert statuses(visitor) == [200] * REQUESTS_AT_ONCE


def test_jobs_wait_out_a_restart_of_the_database_and_viewers_catch_up(
    visitor: Visitor, postgres: Postgres, rows: Rows, tmp_path: Path
) -> None:
    upload = visitor.upload(numbers(tmp_path / "numbers.wav", 120))
    made = [visitor.start_scripted(upload, PACE) for _ in range(2)]
    watchers = [Watcher(visitor, job) for job in made]
    wait_until(lambda: all(rows.finals(job) >= 3 for job in made), what="the third final")
    postgres.stop()
    time.sleep(LONG_OUTAGE_SECONDS)
    postgres.start()
    assert visitor.http.get("/jobs/").status_code == 200
    wait_until(lambda: all(map(rows.has_ended, made)), 60, "the end of the jobs")
    assert [rows.outcome(job) for job in made] == [("completed", 1, words(120))] * 2
    assert [watcher.words for watcher in watchers] == [words(120)] * 2


def test_jobs_with_locked_rows_continue_after_the_lock_and_another_job_meanwhile(
    visitor: Visitor, postgres: Postgres, database: str, rows: Rows, tmp_path: Path
) -> None:
    upload = visitor.upload(numbers(tmp_path / "numbers.wav", 60))
    held = [visitor.start_scripted(upload, PACE) for _ in range(2)]
    wait_until(lambda: all(rows.finals(job) >= 1 for job in held), what="the first final")
    with locked(postgres, database, "select 1 from streaming_job for update"):
        before = [rows.finals(job) for job in held]
        time.sleep(BEATS_SECONDS)  # until all writes of these jobs wait for the lock
        other = visitor.start_scripted(upload, PACE * 2)
        wait_until(lambda: rows.has_ended(other), 60, "the end of the other job")
        assert [rows.finals(job) for job in held] == before
    wait_until(lambda: all(map(rows.has_ended, held)), 60, "the end of the jobs")
    assert [rows.outcome(job) for job in [*held, other]] == [("completed", 1, words(60))] * 3


def test_a_job_waits_while_the_database_is_read_only(
    visitor: Visitor, postgres: Postgres, rows: Rows, tmp_path: Path
) -> None:
    job = visitor.start_scripted(visitor.upload(numbers(tmp_path / "numbers.wav", 60)), PACE)
    wait_until(lambda: rows.finals(job) >= 2, what="the second final")
    postgres.execute("alter system set default_transaction_read_only = on")
    try:
        postgres.execute("select pg_reload_conf()")
        wait_until(lambda: rows.read("show default_transaction_read_only") == [("on",)], what="the end of writes")
        before = rows.finals(job)
        time.sleep(OUTAGE_SECONDS)
        assert rows.finals(job) - before <= 1  # one final may have been in progress
        assert visitor.http.get(f"/jobs/{job}/").status_code == 200
    finally:
        postgres.execute("alter system reset default_transaction_read_only")
        postgres.execute("select pg_reload_conf()")
    wait_until(lambda: rows.has_ended(job), 60, "the end of the job")
    assert rows.outcome(job) == ("completed", 1, words(60))


@pytest.mark.parametrize("site", [LONG_LOCK_TIMEOUT], indirect=True)
def test_requests_that_clients_abandon_leak_no_database_connection(
    visitor: Visitor, postgres: Postgres, database: str
) -> None:
    soon = httpx.Timeout(60, read=0.5)
    for _ in range(3):
        with locked(postgres, database, "lock table uploads_upload in access exclusive mode"):
            with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
                asked = [pool.submit(visitor.http.get, "/", timeout=soon) for _ in range(REQUESTS_AT_ONCE)]
            assert all(isinstance(request.exception(), httpx.ReadTimeout) for request in asked)
    assert statuses(visitor) == [200] * REQUESTS_AT_ONCE


def test_database_sessions_have_timeouts_that_free_the_locks_of_a_frozen_process(site: Site) -> None:
    ask = "from django.db import connection as c; r = c.cursor(); r.execute('show {}'); print(r.fetchone()[0])"
    names = ("idle_in_transaction_session_timeout", "lock_timeout")
    shown = [site.manage("shell", "-v", "0", "-c", ask.format(name)).stdout.strip() for name in names]
    assert shown == ["10s", "3s"]


def test_a_process_frozen_during_a_claim_does_not_block_jobs_of_other_owners(
    new_site: Callable[..., Site], postgres: Postgres, database: str, rows: Rows, tmp_path: Path
) -> None:
    site = new_site(DATABASE_URL=postgres.url(database), TRANSCRIBE_MAX_JOBS_A_PERSON="2", **SETTINGS)
    make = "from django.contrib.auth.models import User as U; print(U.objects.create_superuser('charlie').pk)"
    charlie = int(site.manage("shell", "-v", "0", "-c", make).stdout)
    site.start()
    [(admin,)] = rows.read("select id from auth_user where username = 'admin'")
    lock = f"select pg_advisory_xact_lock(hashtextextended('claims of owner {admin}', 0))"
    with Visitor(site) as visitor:
        upload = visitor.upload(numbers(tmp_path / "numbers.wav", 8))
        with locked(postgres, database, lock):
            first, second = visitor.start(upload), visitor.start(upload)
            postgres.execute(f"update streaming_job set owner_id = {charlie} where id = '{second}'", database)
            wait_until(lambda: rows.has_ended(second), what="the end of the other's job")
            assert not rows.has_ended(first)
        wait_until(lambda: rows.has_ended(first), what="the end of the job")
    assert [rows.outcome(job) for job in (first, second)] == [("completed", 1, words(8))] * 2
