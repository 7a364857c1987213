"""The log: every line about a job names it, and no line contains transcript text."""

import asyncio
import io
import json
import logging
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.db import IntegrityError

from streaming import log as logs
from streaming.engines.base import EngineError
from streaming.engines.scripted import ScriptedEngine
from streaming.jobs import lifecycle
from streaming.models import Job, Status
from tests.streaming.conftest import PATIENCE_SECONDS, Running
from uploads.models import Upload

pytestmark = pytest.mark.django_db(transaction=True)

Spoken = Callable[..., Upload]


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Captures all log lines, at every level, in the JSON format of the settings."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.addFilter(logs.JobFilter())
    handler.setFormatter(logs.JsonFormatter())
    loggers = [logging.getLogger(name) for name in ("streaming", "uploads")]
    for logger in loggers:
        logger.addHandler(handler)
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    yield out
    for logger, level in zip(loggers, levels, strict=True):
        logger.removeHandler(handler)
        logger.setLevel(level)


def lines(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


async def ended(job: Job, status: Status) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await Job.objects.filter(pk=job.pk, status=status).aexists():
            await asyncio.sleep(0.05)


async def test_log_lines_about_a_job_have_its_id_and_attempt(
    spoken: Spoken, running: Running, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    transcribe = ScriptedEngine.transcribe
    cut, end = EngineError("The line was cut.", permanent=False), EngineError("No more.", permanent=True)
    failures = [cut, end, cut]

    async def failing(*given: Any) -> Any:
        if failures:
            raise failures.pop(0)
        async for result in transcribe(*given):
            yield result

    monkeypatch.setattr(ScriptedEngine, "transcribe", failing)
    job, _ = await sync_to_async(lifecycle.start)(await sync_to_async(spoken)(4))
    async with running():
        await ended(job, Status.FAILED)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while "Attempt ended" not in log.getvalue():  # this line comes after the status of the job
                await asyncio.sleep(0.05)
        await sync_to_async(lifecycle.retry)(job)
        await ended(job, Status.COMPLETED)
    found = [(line["message"], line["job"], line["attempt"]) for line in lines(log) if "job" in line]
    assert found == [
        ("Attempt started, engine scripted", str(job.pk), 1),
        ("Retrying the engine from 0.0 s after an error: The line was cut.", str(job.pk), 1),
        ("The job failed: No more.", str(job.pk), 1),
        ("Attempt ended: failed", str(job.pk), 1),
        ("Attempt started, engine scripted", str(job.pk), 2),
        ("Retrying the engine from 0.0 s after an error: The line was cut.", str(job.pk), 2),
        ("Attempt ended: completed", str(job.pk), 2),
    ]
    assert [line for line in lines(log) if str(job.pk) in line["message"]] == [], (
        "the id is a field, not part of the message"
    )


async def test_log_lines_never_contain_transcript_text(
    spoken: Spoken, running: Running, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_final, refused = lifecycle.store_final, []

    def refusing(job_id: Any, attempt: int, seq: int, result: Any, position: float) -> Any:
        if not refused:
            refused.append(result.text)
            # As PostgreSQL words it, with the row.
            raise IntegrityError(
                f'null value in column "slot"\nDETAIL:  Failing row contains (1, {result.text}, null).'
            )
        return store_final(job_id, attempt, seq, result, position)

    monkeypatch.setattr(lifecycle, "store_final", refusing)
    job, _ = await sync_to_async(lifecycle.start)(await sync_to_async(spoken)(6))
    async with running():
        await ended(job, Status.FAILED)
    text = log.getvalue()
    assert refused
    assert "DETAIL: (withheld)" in text
    assert [word for word in ("w0", "w1", "w2", "w3", "w4", "w5") if word in text] == []


@pytest.mark.parametrize("formatter", [logs.LineFormatter(), logs.JsonFormatter()])
def test_both_log_formats_name_the_job_and_redact_rows(formatter: logging.Formatter) -> None:
    job_id = uuid4()
    told = "duplicate key\nDETAIL:  Key (text)=(what was said\nin two lines) already exists."
    try:
        raise IntegrityError(told)
    except IntegrityError as error:
        fault = (type(error), error, error.__traceback__)
    record = logging.LogRecord("streaming.worker.attempt", logging.ERROR, "", 0, "It failed: %s", (fault[1],), fault)
    with logs.job_context(job_id, 3):
        logs.JobFilter().filter(record)
    text = formatter.format(record)
    assert str(job_id) in text
    assert "IntegrityError" in text
    assert "what was said" not in text
    assert "in two lines" not in text


def test_log_line_outside_a_job_names_no_job() -> None:
    record = logging.LogRecord("daphne", logging.INFO, "", 0, "Serving", (), None)
    logs.JobFilter().filter(record)
    assert logs.LineFormatter().format(record).endswith("INFO daphne: Serving")
    assert set(json.loads(logs.JsonFormatter().format(record))) == {"time", "level", "logger", "message"}


def test_repeated_line_is_logged_once_in_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(logs, "time", SimpleNamespace(monotonic=lambda: now))
    limiter = logs.RateLimitFilter(["about.something.away"])

    def passes(name: str, line: str) -> bool:
        return limiter.filter(logging.makeLogRecord({"name": name, "msg": line}))

    assert [passes("about.something.away", "It is away: %s") for _ in range(3)] == [True, False, False]
    assert passes("about.something.away", "Another line")
    assert [passes("of.others", "It is away: %s") for _ in range(3)] == [True] * 3
    now += logs.REPEAT_SECONDS
    assert passes("about.something.away", "It is away: %s")
