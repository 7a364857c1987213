"""An SQLite file that another process locks, or that can't grow: jobs wait until they can write again."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest
from django.conf import settings as site_settings
from django.contrib.auth.models import User
from django.db import connection

from streaming.db import THREADS, in_thread
from streaming.models import Job, Status
from streaming.worker import shutdown
from tests.streaming.conftest import PATIENCE_SECONDS, Other, Running, Watching, words
from tests.streaming.gated_engine import ALL, AllowWords
from tests.streaming.worker.test_runner import Spoken, start, stored_words, until_status
from tests.streaming.worker.test_runner import until as until_job

pytestmark = pytest.mark.skipif(site_settings.IS_ON_POSTGRES, reason="for SQLite")

REFUSED = "Could not write to the database; trying again"


Options = Callable[..., Awaitable[None]]


@pytest.fixture
async def options(transactional_db: None) -> AsyncIterator[Options]:
    """Changes the connection options of all database threads until the end of the test."""

    def connect_anew(together: threading.Barrier) -> None:
        together.wait()  # so that each thread runs one of these calls
        connection.close()

    async def options(**options: object) -> None:
        connection.settings_dict["OPTIONS"].update(options)
        together = threading.Barrier(THREADS)
        await asyncio.gather(*(in_thread(connect_anew)(together) for _ in range(THREADS)))

    before = dict(connection.settings_dict["OPTIONS"])
    yield options
    await options(**before)


@pytest.fixture
def refused(caplog: pytest.LogCaptureFixture) -> Callable[[], bool]:
    return lambda: REFUSED in caplog.messages


async def until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not is_so():
            await asyncio.sleep(0.02)


@contextmanager
def held() -> Iterator[None]:
    """Lock the file, as another writing process does."""
    other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None, timeout=PATIENCE_SECONDS)
    other.execute("begin immediate")
    try:
        yield
    finally:
        other.close()


async def test_job_waits_while_another_process_locks_the_database(
    running: Running,
    watching: Watching,
    spoken: Spoken,
    alice: User,
    options: Options,
    refused: Callable[[], bool],
    allow_words: AllowWords,
) -> None:
    job = await start(await in_thread(spoken)(40))
    async with running(), watching(alice, job) as viewer:
        allow_words(8)
        await viewer.until(lambda viewer: viewer.seq == 2)
        await options(timeout=0.1)  # seconds, instead of twenty
        with held():
            allow_words(ALL)
            await until(refused)
            assert (await Job.objects.aget(pk=job.pk)).segment_count == 2
        await viewer.until_status("completed")
        assert viewer.words == words(40)
    assert (await stored_words(job), (await until_status(job, Status.COMPLETED)).attempt) == (words(40), 1)


def pages() -> int:
    """Return the number of used pages of the file."""
    with connection.cursor() as cursor:
        cursor.execute("vacuum")
        cursor.execute("pragma page_count")
        (count,) = cursor.fetchone()
    return int(count)


async def test_job_waits_while_the_disk_of_the_database_is_full(
    running: Running,
    watching: Watching,
    spoken: Spoken,
    alice: User,
    options: Options,
    refused: Callable[[], bool],
) -> None:
    job = await start(await in_thread(spoken)(400), words_per_final=40)
    before = connection.settings_dict["OPTIONS"]["init_command"]
    await options(init_command=f"{before} PRAGMA max_page_count={await in_thread(pages)() + 1};")
    async with running(), watching(alice, job) as viewer:
        await until(refused)
        stored = (await Job.objects.aget(pk=job.pk)).segment_count
        assert stored < 10
        await options(init_command=before)
        await viewer.until_status("completed")
        assert viewer.words == words(400)
    assert (await stored_words(job), (await until_status(job, Status.COMPLETED)).attempt) == (words(400), 1)


async def test_worker_stops_while_the_database_is_locked_and_another_resumes_its_job(
    other: Other, running: Running, spoken: Spoken
) -> None:
    job = await start(await in_thread(spoken)(60), pace=2)
    worker = other()
    worker.start_worker()
    await until_job(job, lambda now: now.segment_count >= 1)
    with held():
        assert await asyncio.to_thread(worker.stop) == 1, (
            "it exited at the deadline of END_SECONDS, without waiting for the lock"
        )
        assert shutdown.END_SECONDS < 10
    await Job.objects.filter(pk=job.pk).aupdate(options={})  # the rest runs at full speed
    async with running():
        await until_status(job, Status.COMPLETED)
    assert await stored_words(job) == words(60)
