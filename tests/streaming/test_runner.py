"""Jobs that run: each word exactly once, whatever happens on the way."""

import asyncio
import math
import os
import signal
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as site_settings
from django.db import DataError, OperationalError
from pytest_django import Settings

from streaming import attempt as attempt_module
from streaming import hearing, jobs, runner, workers
from streaming.audio import Spool
from streaming.database import in_thread
from streaming.engines.base import EngineError, Request
from streaming.engines.scripted import ScriptedEngine
from streaming.models import Job, Status
from streaming.transcripts import Result, Word
from tests.streaming.conftest import PATIENCE_SECONDS, Running, transcript_of, words
from uploads.models import Upload

Spoken = Callable[..., Upload]

SLOW = {"pace": 10}  # audio seconds a second: a job of ten seconds takes one


async def start(upload: Upload, **options: object) -> Job:
    return await in_thread(start_job)(upload, options)


def start_job(upload: Upload, options: Mapping[str, object]) -> Job:
    job, _ = jobs.start(upload, engine="scripted", options=options)
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


async def heard(job: Job) -> list[str]:
    return await in_thread(transcript_of)(job)


async def test_a_job_runs_to_the_end_and_every_word_is_there_once(running: Running, spoken: Spoken) -> None:
    job = await start(await in_thread(spoken)(31))
    async with running():
        done = await until_status(job, Status.COMPLETED)
    assert await heard(job) == words(31)
    assert (done.segment_count, done.word_count, done.position, done.duration) == (8, 31, 15.5, 15.5)
    assert (done.failure_reason, done.worker, done.lease_expires_at) == ("", "", None)
    assert done.took is not None


async def test_a_recording_without_a_word_completes_with_an_empty_transcript(running: Running, spoken: Spoken) -> None:
    job = await start(await in_thread(spoken)(0, silent_seconds=1))
    async with running():
        done = await until_status(job, Status.COMPLETED)
    assert (done.segment_count, done.position) == (0, 1.0)


async def test_cancelling_stops_the_work_within_a_second(running: Running, spoken: Spoken) -> None:
    job = await start(await in_thread(spoken)(200), **SLOW)
    async with running() as worker:
        await until(job, lambda now: now.segment_count >= 1)
        await in_thread(jobs.cancel)(job)
        async with asyncio.timeout(1.0):
            while worker._tasks:
                await asyncio.sleep(0.01)
        cancelled = await Job.objects.aget(pk=job.pk)
    kept = await heard(job)
    assert cancelled.status == Status.CANCELLED
    assert 4 <= len(kept) < 200
    assert kept == words(len(kept))


async def test_a_cancelled_job_goes_on_where_it_stopped(running: Running, spoken: Spoken) -> None:
    job = await start(await in_thread(spoken)(30), **SLOW)
    async with running():
        await until(job, lambda now: now.segment_count >= 1)
        await in_thread(jobs.cancel)(job)
        await in_thread(jobs.retry)(await Job.objects.aget(pk=job.pk))
        await until_status(job, Status.COMPLETED)
    assert await heard(job) == words(30)


async def test_a_runner_that_ends_hands_its_job_back_and_the_next_completes_it(
    running: Running, spoken: Spoken
) -> None:
    job = await start(await in_thread(spoken)(30), **SLOW)
    async with running():
        await until(job, lambda now: now.segment_count >= 1)
    handed_back = await Job.objects.aget(pk=job.pk)
    assert (handed_back.status, handed_back.worker) == (Status.QUEUED, "")
    async with running():
        await until_status(job, Status.COMPLETED)
    assert await heard(job) == words(30)


async def test_no_more_jobs_run_at_once_than_allowed(running: Running, spoken: Spoken) -> None:
    upload = await in_thread(spoken)(10)
    made = [await start(upload, **SLOW) for _ in range(3)]
    most = 0
    async with running(max_jobs=1) as worker:
        for job in made:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while (await Job.objects.aget(pk=job.pk)).status != Status.COMPLETED:
                    most = max(most, len(worker._tasks))
                    await asyncio.sleep(0.02)
    assert most == 1


async def test_a_permanent_failure_ends_the_job_with_its_sentence_and_keeps_what_was_final(
    running: Running, spoken: Spoken
) -> None:
    job = await start(await in_thread(spoken)(20), fail_at=5.0, fail_message="The engine is out of ink.")
    async with running():
        failed = await until_status(job, Status.FAILED)
    assert (failed.failure_reason, failed.segment_count) == ("The engine is out of ink.", 2)
    assert await heard(job) == words(8)


class Stumbling(ScriptedEngine):
    """Fails after every fourth word, at first before any."""

    starts = 0

    async def transcribe(self, audio: Spool, request: Request) -> AsyncGenerator[Result, None]:
        type(self).starts += 1
        if type(self).starts == 1:
            raise EngineError("Not yet.", permanent=False)
        async for result in super().transcribe(audio, request):
            yield result
            if not result.is_partial:
                raise EngineError("Stumbled.", permanent=False)


async def test_failures_that_pass_cost_no_word_and_repeat_none(
    running: Running, spoken: Spoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stumbling, "starts", 0)
    monkeypatch.setattr(runner, "engine_class", lambda name: Stumbling)
    monkeypatch.setattr(hearing, "FIRST_PAUSE_SECONDS", 0.0)
    job = await start(await in_thread(spoken)(40))
    async with running():
        await until_status(job, Status.COMPLETED)
    assert await heard(job) == words(40)
    assert Stumbling.starts == 12


async def test_a_failure_that_does_not_pass_ends_the_job(
    running: Running, spoken: Spoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hearing, "FIRST_PAUSE_SECONDS", 0.0)
    job = await start(await in_thread(spoken)(20), fail_at=3.0, permanent=False, fail_message="No line.")
    async with running():
        failed = await until_status(job, Status.FAILED)
    assert (failed.failure_reason, await heard(job)) == ("No line.", words(4))


async def test_an_error_of_the_program_fails_the_job_and_not_the_runner(
    running: Running, spoken: Spoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = await in_thread(spoken)(8)
    broken = await start(upload, words_per_final="four")  # the engine compares it with a number
    sound = await start(upload)
    async with running():
        failed = await until_status(broken, Status.FAILED)
        await until_status(sound, Status.COMPLETED)
    assert "Something in the program went wrong" in failed.failure_reason


async def test_a_recording_whose_file_is_gone_fails_with_a_sentence(running: Running, spoken: Spoken) -> None:
    upload = await in_thread(spoken)(8)
    await in_thread(upload.file.storage.delete)(upload.file.name)
    job = await start(upload)
    async with running():
        failed = await until_status(job, Status.FAILED)
    assert failed.failure_reason


async def test_the_work_of_a_job_that_was_deleted_ends(running: Running, spoken: Spoken) -> None:
    job = await start(await in_thread(spoken)(200), **SLOW)
    async with running() as worker:
        await until(job, lambda now: now.segment_count >= 1)
        await in_thread(jobs.delete)(job)
        async with asyncio.timeout(1.0):
            while worker._tasks:
                await asyncio.sleep(0.01)
    assert not await Job.objects.filter(pk=job.pk).aexists()


async def test_a_job_is_found_without_a_ring(running: Running, spoken: Spoken, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = await in_thread(spoken)(8)
    async with running() as worker:
        await asyncio.sleep(0)
        job = await in_thread(Job.objects.create)(
            upload=upload, owner_id=upload.owner_id, engine="scripted", language_code="en-US", duration=4.0
        )
        assert not worker._rung.is_set()
        await until_status(job, Status.COMPLETED)


async def test_no_spool_is_left_behind(running: Running, spoken: Spoken) -> None:
    job = await start(await in_thread(spoken)(8))
    async with running():
        await until_status(job, Status.COMPLETED)
    assert list((Path(site_settings.DATA_DIR) / "workers").glob("**/*.pcm")) == []


def test_a_worker_that_was_killed_is_noticed_and_a_living_one_is_not(tmp_path: Path) -> None:
    with workers.Worker() as living:
        child = os.fork()
        if child == 0:
            workers.Worker().__enter__()
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        dead = workers.dead_workers()
        assert len(dead) == 1
        assert living.name not in dead
        workers.forget(dead)
        assert workers.dead_workers() == []
        assert living.folder.exists()
    assert not living.folder.exists()


async def test_a_decoder_that_fails_in_the_middle_fails_the_job_and_keeps_what_was_final(
    running: Running, spoken: Spoken, settings: Settings
) -> None:
    job = await start(await in_thread(spoken)(20))
    settings.MAX_AUDIO_SECONDS = 5  # the decoder gives up there
    async with running():
        failed = await until_status(job, Status.FAILED)
    assert "longer than" in failed.failure_reason
    assert await heard(job) == words(8)
    settings.MAX_AUDIO_SECONDS = 50
    async with running():
        await in_thread(jobs.retry)(failed)
        await until_status(job, Status.COMPLETED)
    assert await heard(job) == words(20)


async def test_a_disk_that_is_full_fails_the_job_with_a_sentence(
    running: Running, spoken: Spoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await start(await in_thread(spoken)(20))
    monkeypatch.setattr(Path, "touch", lambda path: path.symlink_to("/dev/full") if path.suffix == ".pcm" else None)
    async with running():
        failed = await until_status(job, Status.FAILED)
    assert "disk is full" in failed.failure_reason


async def test_a_job_waits_for_a_database_that_is_away(
    running: Running, spoken: Spoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = [OperationalError("database is locked")] * 3
    for name in ("store_final", "finish", "remaining"):
        write = getattr(jobs, name)

        def flaky(*args: Any, write: Callable[..., Any] = write, **kwargs: Any) -> Any:
            if away:
                raise away.pop()
            return write(*args, **kwargs)

        monkeypatch.setattr(jobs, name, flaky)
    monkeypatch.setattr(attempt_module, "BEAT_SECONDS", 0.05)
    job = await start(await in_thread(spoken)(8))
    async with running():
        await until_status(job, Status.COMPLETED)
    assert (await heard(job), away) == (words(8), [])


async def test_a_final_whose_commit_was_not_confirmed_is_there_once(
    running: Running, spoken: Spoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, unconfirmed = jobs.store_final, [True, True]

    def stored_unheard(*args: Any) -> Any:
        segment = store(*args)
        if unconfirmed:
            unconfirmed.pop()
            raise OperationalError("server closed the connection unexpectedly")
        return segment

    monkeypatch.setattr(jobs, "store_final", stored_unheard)
    monkeypatch.setattr(attempt_module, "BEAT_SECONDS", 0.05)
    job = await start(await in_thread(spoken)(12))
    async with running():
        done = await until_status(job, Status.COMPLETED)
    assert (await heard(job), done.attempt, unconfirmed) == (words(12), 1, [])


async def test_what_the_database_will_never_take_fails_the_job(
    running: Running, spoken: Spoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*args: Any) -> None:
        raise DataError("value too long")

    monkeypatch.setattr(jobs, "store_final", refused)
    job = await start(await in_thread(spoken)(8))
    async with running():
        failed = await until_status(job, Status.FAILED)
    assert "Something in the program went wrong" in failed.failure_reason


def test_a_folder_of_a_worker_without_a_name_costs_no_other_its_own(tmp_path: Path) -> None:
    with workers.Worker() as living:
        empty = living.folder.with_name("deadbeef")
        empty.mkdir()
        (empty / "lock").touch()
        assert workers.dead_workers() == ["deadbeef"]
        workers.forget(workers.dead_workers())
        assert living.folder.exists()
        assert not empty.exists()


class Quoting(ScriptedEngine):
    """Fails, and quotes what no text may hold."""

    async def transcribe(self, audio: Spool, request: Request) -> AsyncGenerator[Result, None]:
        raise EngineError("It said \ud800 and \0.", permanent=True)
        yield


async def test_a_failure_that_quotes_half_a_character_ends_the_job_all_the_same(
    running: Running, spoken: Spoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "engine_class", lambda name: Quoting)
    job = await start(await in_thread(spoken)(8))
    async with running():
        failed = await until_status(job, Status.FAILED)
    assert (failed.failure_reason, failed.attempt) == ("It said \ufffd and \ufffd.", 1)


class Nonsense(ScriptedEngine):
    """Is confident to no number at all."""

    async def transcribe(self, audio: Spool, request: Request) -> AsyncGenerator[Result, None]:
        yield Result("word", 0.0, 1.0, is_partial=False, words=(Word("word", 0.0, 1.0, math.nan),))


async def test_what_no_database_takes_ends_the_job_instead_of_being_tried_for_ever(
    running: Running, spoken: Spoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "engine_class", lambda name: Nonsense)
    job = await start(await in_thread(spoken)(8))
    async with running():
        failed = await until_status(job, Status.FAILED)
    assert "Something in the program went wrong" in failed.failure_reason


class Tiring(ScriptedEngine):
    """Breaks off after every twelve seconds of sound, and finds no words."""

    starts = 0

    async def transcribe(self, audio: Spool, request: Request) -> AsyncGenerator[Result, None]:
        type(self).starts += 1
        if type(self).starts <= 12:
            audio.position += 12.0
            raise EngineError("Tired.", permanent=False)
        async for result in super().transcribe(audio, request):
            yield result


async def test_failures_are_forgotten_when_sound_was_heard_in_between(
    running: Running, spoken: Spoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tiring, "starts", 0)
    monkeypatch.setattr(runner, "engine_class", lambda name: Tiring)
    monkeypatch.setattr(hearing, "FIRST_PAUSE_SECONDS", 0.0)
    job = await start(await in_thread(spoken)(8))
    async with running():
        await until_status(job, Status.COMPLETED)
    assert await heard(job) == words(8)
