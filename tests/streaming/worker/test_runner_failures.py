"""Failures while a job runs: transient ones are retried, all others fail it with a sentence; no word is lost."""

import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import DataError, OperationalError
from pytest_django import Settings

from streaming.db import in_thread
from streaming.engines.base import EngineError, Request
from streaming.engines.scripted import ScriptedEngine
from streaming.jobs import lifecycle
from streaming.models import Job, Status
from streaming.results import Result, Word
from streaming.spool import Spool
from streaming.worker import attempt as attempt_module
from streaming.worker import retry, runner
from tests.streaming.conftest import Running, words
from tests.streaming.worker.test_runner import Spoken, start, stored_words, until_status

RunEngine = Callable[[type[ScriptedEngine], int, Status], Awaitable[Job]]


@pytest.fixture
def run_engine(running: Running, spoken: Spoken, monkeypatch: pytest.MonkeyPatch) -> RunEngine:
    """Runs a job of so many words with an engine until it has a status. Returns the job."""

    async def run_engine(engine: type[ScriptedEngine], count: int, status: Status) -> Job:
        monkeypatch.setattr(runner, "engine_class", lambda name: engine)
        job = await start(await in_thread(spoken)(count))
        async with running():
            return await until_status(job, status)

    return run_engine


@pytest.fixture
def retry_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_PAUSE_SECONDS", 0.0)


async def test_permanent_error_fails_the_job_and_keeps_the_finals(running: Running, spoken: Spoken) -> None:
    job = await start(await in_thread(spoken)(20), fail_at=5.0, fail_message="The engine is out of ink.")
    async with running():
        failed = await until_status(job, Status.FAILED)
    assert (failed.failure_reason, failed.segment_count) == ("The engine is out of ink.", 2)
    assert await stored_words(job) == words(8)


class Stumbling(ScriptedEngine):
    """Fails once before the first word, then after every fourth."""

    starts = 0

    async def transcribe(self, audio: Spool, request: Request) -> AsyncGenerator[Result, None]:
        type(self).starts += 1
        if type(self).starts == 1:
            raise EngineError("Not yet.", permanent=False)
        async for result in super().transcribe(audio, request):
            yield result
            if not result.is_partial:
                raise EngineError("Stumbled.", permanent=False)


async def test_transient_errors_lose_and_repeat_no_word(
    run_engine: RunEngine, retry_at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stumbling, "starts", 0)
    job = await run_engine(Stumbling, 40, Status.COMPLETED)
    assert await stored_words(job) == words(40)
    assert Stumbling.starts == 12


async def test_transient_error_that_persists_fails_the_job(
    running: Running, spoken: Spoken, retry_at_once: None
) -> None:
    job = await start(await in_thread(spoken)(20), fail_at=3.0, permanent=False, fail_message="No line.")
    async with running():
        failed = await until_status(job, Status.FAILED)
    assert (failed.failure_reason, await stored_words(job)) == ("No line.", words(4))


async def test_unexpected_exception_fails_the_job_and_not_the_runner(
    running: Running, spoken: Spoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = await in_thread(spoken)(8)
    broken = await start(upload, words_per_final="four")  # raises a TypeError in the engine
    sound = await start(upload)
    async with running():
        failed = await until_status(broken, Status.FAILED)
        await until_status(sound, Status.COMPLETED)
    assert failed.failure_reason == "Something went wrong."


async def test_job_whose_file_is_missing_fails_with_a_sentence(running: Running, spoken: Spoken) -> None:
    upload = await in_thread(spoken)(8)
    await in_thread(upload.file.storage.delete)(upload.file.name)
    job = await start(upload)
    async with running():
        failed = await until_status(job, Status.FAILED)
    assert failed.failure_reason


async def test_decoder_failure_midway_fails_the_job_and_keeps_the_finals(
    running: Running, spoken: Spoken, settings: Settings
) -> None:
    job = await start(await in_thread(spoken)(20))
    settings.MAX_AUDIO_SECONDS = 5  # the decoder fails there
    async with running():
        failed = await until_status(job, Status.FAILED)
    assert "longer than" in failed.failure_reason
    assert await stored_words(job) == words(8)
    settings.MAX_AUDIO_SECONDS = 50
    async with running():
        await in_thread(lifecycle.retry)(failed)
        await until_status(job, Status.COMPLETED)
    assert await stored_words(job) == words(20)


async def test_full_disk_fails_the_job_with_a_sentence(
    running: Running, spoken: Spoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await start(await in_thread(spoken)(20))
    monkeypatch.setattr(Path, "touch", lambda path: path.symlink_to("/dev/full") if path.suffix == ".pcm" else None)
    async with running():
        failed = await until_status(job, Status.FAILED)
    assert "disk is full" in failed.failure_reason


async def test_job_retries_writes_while_the_database_is_unavailable(
    running: Running, spoken: Spoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = [OperationalError("database is locked")] * 3
    for name in ("store_final", "finish", "remaining"):
        write = getattr(lifecycle, name)

        def flaky(*args: Any, write: Callable[..., Any] = write, **kwargs: Any) -> Any:
            if away:
                raise away.pop()
            return write(*args, **kwargs)

        monkeypatch.setattr(lifecycle, name, flaky)
    monkeypatch.setattr(attempt_module, "HEARTBEAT_SECONDS", 0.05)
    job = await start(await in_thread(spoken)(8))
    async with running():
        await until_status(job, Status.COMPLETED)
    assert (await stored_words(job), away) == (words(8), [])


async def test_final_with_an_unconfirmed_commit_is_stored_once(
    running: Running, spoken: Spoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, unconfirmed = lifecycle.store_final, [True, True]

    def stored_unheard(*args: Any) -> Any:
        segment = store(*args)
        if unconfirmed:
            unconfirmed.pop()
            raise OperationalError("server closed the connection unexpectedly")
        return segment

    monkeypatch.setattr(lifecycle, "store_final", stored_unheard)
    monkeypatch.setattr(attempt_module, "HEARTBEAT_SECONDS", 0.05)
    job = await start(await in_thread(spoken)(12))
    async with running():
        done = await until_status(job, Status.COMPLETED)
    assert (await stored_words(job), done.attempt, unconfirmed) == (words(12), 1, [])


async def test_data_that_the_database_refuses_fails_the_job(
    running: Running, spoken: Spoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*args: Any) -> None:
        raise DataError("value too long")

    monkeypatch.setattr(lifecycle, "store_final", refused)
    job = await start(await in_thread(spoken)(8))
    async with running():
        failed = await until_status(job, Status.FAILED)
    assert failed.failure_reason == "Something went wrong."


class Quoting(ScriptedEngine):
    """Fails with a message that has characters which no database stores."""

    async def transcribe(self, audio: Spool, request: Request) -> AsyncGenerator[Result, None]:
        raise EngineError("It said \ud800 and \0.", permanent=True)
        yield


async def test_error_message_with_unstorable_characters_still_fails_the_job(run_engine: RunEngine) -> None:
    failed = await run_engine(Quoting, 8, Status.FAILED)
    assert (failed.failure_reason, failed.attempt) == ("It said \ufffd and \ufffd.", 1)


class Nonsense(ScriptedEngine):
    """Yields a word whose confidence is not a number."""

    async def transcribe(self, audio: Spool, request: Request) -> AsyncGenerator[Result, None]:
        yield Result("word", 0.0, 1.0, is_partial=False, words=(Word("word", 0.0, 1.0, math.nan),))


async def test_unstorable_result_fails_the_job_instead_of_being_retried(run_engine: RunEngine) -> None:
    failed = await run_engine(Nonsense, 8, Status.FAILED)
    assert failed.failure_reason == "Something went wrong."


class Tiring(ScriptedEngine):
    """Fails after every twelve seconds of audio, without yielding a word."""

    starts = 0

    async def transcribe(self, audio: Spool, request: Request) -> AsyncGenerator[Result, None]:
        type(self).starts += 1
        if type(self).starts <= 12:
            audio.position += 12.0
            raise EngineError("Tired.", permanent=False)
        async for result in super().transcribe(audio, request):
            yield result


async def test_progress_between_failures_resets_their_count(
    run_engine: RunEngine, retry_at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tiring, "starts", 0)
    job = await run_engine(Tiring, 8, Status.COMPLETED)
    assert await stored_words(job) == words(8)
