"""Running jobs: every word is stored exactly once, and workers stop, resume and clean up."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as site_settings
from django.utils import timezone
from pytest_django import Settings

from streaming.db import in_thread
from streaming.jobs import lifecycle, queue
from streaming.models import Job, Status
from streaming.worker import liveness
from streaming.worker.attempt import Attempt
from streaming.worker.runner import Runner
from tests.streaming.conftest import (
    LONG_LEASE_SECONDS,
    PATIENCE_SECONDS,
    Running,
    transcript_of,
    words,
)
from tests.streaming.gated_engine import ALL, AllowWords
from uploads.models import Upload

Spoken = Callable[..., Upload]

KILLED_WORKER = """
import os, signal
import django
django.setup()
from streaming.worker import liveness
liveness.Worker().__enter__()
os.kill(os.getpid(), signal.SIGKILL)
"""
SLOW = {"pace": 10}  # seconds of audio a second: a recording of ten seconds takes one


async def start(upload: Upload, **options: object) -> Job:
    return await in_thread(start_job)(upload, options)


def start_job(upload: Upload, options: Mapping[str, object]) -> Job:
    job, _ = lifecycle.start(upload, engine="scripted", options=options)
    return job


async def until(job: Job, is_so: Callable[[Job], object]) -> Job:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            now = await Job.objects.aget(pk=job.pk)
            if is_so(now):
                return now
            await asyncio.sleep(0.02)


async def until_status(job: Job, status: Status) -> Job:
    return await until(job, lambda now: now.status == status)


async def stored_words(job: Job) -> list[str]:
    return await in_thread(transcript_of)(job)


async def test_job_runs_to_its_end_and_stores_every_word_once(running: Running, spoken: Spoken) -> None:
    job = await start(await in_thread(spoken)(31))
    async with running():
        done = await until_status(job, Status.COMPLETED)
    assert await stored_words(job) == words(31)
    assert (done.segment_count, done.word_count, done.position, done.duration) == (8, 31, 15.5, 15.5)
    assert (done.failure_reason, done.worker, done.lease_expires_at) == ("", "", None)
    assert done.took is not None


async def test_silent_recording_completes_with_an_empty_transcript(running: Running, spoken: Spoken) -> None:
    job = await start(await in_thread(spoken)(0, silent_seconds=1))
    async with running():
        done = await until_status(job, Status.COMPLETED)
    assert (done.segment_count, done.position) == (0, 1.0)


@pytest.fixture
def messages_only(settings: Settings) -> None:
    """Only a message can stop an attempt in time: its next heartbeat is far off."""
    settings.TRANSCRIBE_LEASE_SECONDS = LONG_LEASE_SECONDS


@pytest.fixture
async def gated_job(running: Running, spoken: Spoken, allow_words: AllowWords) -> Job:
    """A queued job of thirty words. Its engine yields five words, which make one final, and waits for `allow_words`."""
    job = await start(await in_thread(spoken)(30))
    allow_words(5)
    return job


async def until_first_final(job: Job) -> None:
    await until(job, lambda now: now.segment_count == 1)


async def until_idle(worker: Runner) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while worker._tasks:
            await asyncio.sleep(0.01)


async def test_cancel_stops_the_attempt_at_once(messages_only: None, running: Running, gated_job: Job) -> None:
    async with running() as worker:
        await until_first_final(gated_job)
        await in_thread(lifecycle.cancel)(gated_job)
        await until_idle(worker)
        cancelled = await Job.objects.aget(pk=gated_job.pk)
    assert cancelled.status == Status.CANCELLED
    assert await stored_words(gated_job) == words(4)


async def test_retried_job_resumes_where_it_was_cancelled(
    running: Running, gated_job: Job, allow_words: AllowWords
) -> None:
    async with running():
        await until_first_final(gated_job)
        await in_thread(lifecycle.cancel)(gated_job)
        await in_thread(lifecycle.retry)(await Job.objects.aget(pk=gated_job.pk))
        allow_words(ALL)
        await until_status(gated_job, Status.COMPLETED)
    assert await stored_words(gated_job) == words(30)


async def test_stopped_runner_hands_its_job_back_and_the_next_completes_it(
    running: Running, gated_job: Job, allow_words: AllowWords
) -> None:
    async with running():
        await until_first_final(gated_job)
    handed_back = await Job.objects.aget(pk=gated_job.pk)
    assert (handed_back.status, handed_back.worker) == (Status.QUEUED, "")
    allow_words(ALL)
    async with running():
        await until_status(gated_job, Status.COMPLETED)
    assert await stored_words(gated_job) == words(30)


async def test_job_claimed_while_the_runner_stops_is_handed_back(
    transactional_db: None, spoken: Spoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = queue._claim_of
    is_claimed, may_go_on = threading.Event(), threading.Event()

    def claim_slowly(*arguments: Any) -> Job | None:
        claimed = claim(*arguments)
        is_claimed.set()
        may_go_on.wait(PATIENCE_SECONDS)
        return claimed

    monkeypatch.setattr(queue, "_claim_of", claim_slowly)
    job = await start(await in_thread(spoken)(8))
    stopping = asyncio.create_task(Runner(1).run())
    assert await asyncio.to_thread(is_claimed.wait, PATIENCE_SECONDS)
    stopping.cancel()
    may_go_on.set()
    with suppress(asyncio.CancelledError):
        await stopping
    handed_back = await Job.objects.aget(pk=job.pk)
    assert (handed_back.status, handed_back.worker, handed_back.attempt) == (Status.QUEUED, "", 2)


async def test_worker_runs_no_more_jobs_at_once_than_allowed(
    running: Running, spoken: Spoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, at_once, most = Attempt.run, 0, 0

    async def counting(self: Attempt) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await run(self)
        at_once -= 1

    monkeypatch.setattr(Attempt, "run", counting)
    upload = await in_thread(spoken)(10)
    made = [await start(upload, **SLOW) for _ in range(3)]
    async with running(max_jobs=1):
        for job in made:
            await until_status(job, Status.COMPLETED)
    assert most == 1


async def test_deleting_a_job_stops_its_attempt(messages_only: None, running: Running, gated_job: Job) -> None:
    async with running() as worker:
        await until_first_final(gated_job)
        await in_thread(lifecycle.delete)(gated_job)
        await until_idle(worker)
    assert not await Job.objects.filter(pk=gated_job.pk).aexists()


async def test_worker_finds_a_job_without_a_message(
    running: Running, spoken: Spoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = await in_thread(spoken)(8)
    async with running() as worker:
        await asyncio.sleep(0)
        job = await in_thread(Job.objects.create)(
            upload=upload, owner_id=upload.owner_id, engine="scripted", language_code="en-US", duration=4.0
        )
        assert not worker._is_notified.is_set()
        await until_status(job, Status.COMPLETED)


async def test_worker_deletes_the_spool_of_an_ended_job(running: Running, spoken: Spoken) -> None:
    job = await start(await in_thread(spoken)(8))
    async with running():
        await until_status(job, Status.COMPLETED)
    assert list((Path(site_settings.DATA_DIR) / "workers").glob("**/*.pcm")) == []


def test_detects_a_killed_worker_but_not_a_living_one(tmp_path: Path, settings: Settings) -> None:
    settings.DATA_DIR = tmp_path  # a folder without workers of other tests
    with liveness.Worker() as living:
        environ = os.environ | {
            "DJANGO_SETTINGS_MODULE": "transcribe_site.settings",
            "TRANSCRIBE_DATA_DIR": str(tmp_path),
        }
        assert subprocess.run([sys.executable, "-c", KILLED_WORKER], env=environ).returncode == -signal.SIGKILL
        dead = liveness.dead_workers()
        assert len(dead) == 1
        assert living.name not in dead
        liveness.remove_folders(dead)
        assert liveness.dead_workers() == []
        assert living.folder.exists()
    assert not living.folder.exists()


def test_removing_a_dead_workers_folder_keeps_the_folders_of_others(tmp_path: Path, settings: Settings) -> None:
    settings.DATA_DIR = tmp_path
    with liveness.Worker() as living:
        empty = living.folder.with_name("deadbeef")
        empty.mkdir()
        (empty / "lock").write_text(liveness.boot_id())
        assert liveness.dead_workers() == ["deadbeef"]
        liveness.remove_folders(liveness.dead_workers())
        assert living.folder.exists()
        assert not empty.exists()


def left_by(boot_id: str, name: str, folder: Path, age_seconds: float = 0.0) -> Path:
    """Make the folder of a worker with this boot id, whose lock is free."""
    left = folder / "workers" / name
    left.mkdir(parents=True)
    (left / "lock").write_text(boot_id)
    (left / "spool.pcm").write_bytes(bytes(100))
    touched_at = time.time() - age_seconds
    os.utime(left / "lock", (touched_at, touched_at))
    return left


async def test_job_of_a_worker_on_another_machine_is_not_requeued(
    running: Running, spoken: Spoken, tmp_path: Path, settings: Settings
) -> None:
    settings.DATA_DIR = tmp_path
    elsewhere = left_by("3b7c5f4e-0000-4000-8000-000000000000", "elsewhere", tmp_path)
    older = left_by("", "older-version", tmp_path, age_seconds=10 * liveness.OLD_SECONDS)
    here = left_by(liveness.boot_id(), "here", tmp_path)
    theirs, dead = [await start(await in_thread(spoken)(4)) for _ in range(2)]
    running_there = {"status": Status.RUNNING, "attempt": 1}
    lease = timezone.now() + timedelta(seconds=LONG_LEASE_SECONDS)
    for job, worker in ((theirs, "elsewhere"), (dead, "here")):
        await Job.objects.filter(pk=job.pk).aupdate(worker=worker, lease_expires_at=lease, **running_there)
    async with running():
        await until_status(dead, Status.COMPLETED)
        still = await Job.objects.aget(pk=theirs.pk)
    assert (still.status, still.worker, still.attempt) == (Status.RUNNING, "elsewhere", 1)
    assert (elsewhere.exists(), older.exists(), here.exists()) == (True, True, False)


def test_removes_folders_of_another_boot_after_a_day(tmp_path: Path, settings: Settings) -> None:
    settings.DATA_DIR = tmp_path
    boot_ids = ("another boot", liveness.boot_id())
    for boot_id in boot_ids:
        left_by(boot_id, f"old {boot_id}", tmp_path, age_seconds=liveness.OLD_SECONDS + 60)
        left_by(boot_id, f"new {boot_id}", tmp_path, age_seconds=liveness.OLD_SECONDS - 60)
    with liveness.Worker() as living:
        os.utime(living.folder / "lock", (0, 0))
        dead = living.check_workers()
        left = {path.name for path in (tmp_path / "workers").iterdir()}
        assert left == {living.name, "new another boot", *dead}
        assert sorted(dead) == sorted(f"{age} {liveness.boot_id()}" for age in ("old", "new"))
        assert time.time() - (living.folder / "lock").stat().st_mtime < 60
