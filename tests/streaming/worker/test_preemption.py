"""One person's jobs hold all slots: one is preempted for another person's job, and loses and repeats no word."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from streaming.db import in_thread
from streaming.engines.aws.engine import AwsEngine
from streaming.engines.moonshine.engine import LocalEngine
from streaming.engines.scripted import ScriptedEngine
from streaming.jobs import lifecycle, queue
from streaming.models import Job, Status
from streaming.worker import preemption, runner
from tests.recordings import numbers
from tests.streaming.conftest import Running, Watching, words
from tests.streaming.factories import make_job, make_upload
from tests.streaming.worker.test_runner import start, stored_words, until, until_status
from uploads.models import Upload

UploadOf = Callable[..., Upload]
PACED = {"pace": 10, "words_per_final": 2}  # five finals a second


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Preemption is due as soon as a job waits, not after 30 seconds."""
    monkeypatch.setattr(preemption, "WAIT_SECONDS", 0.0)
    monkeypatch.setattr(runner, "PREEMPTION_POLL_SECONDS", 0.0)


@pytest.mark.parametrize("slots", [1, 2])
async def test_longest_running_job_is_preempted_at_a_final_and_resumes_after_it(
    slots: int,
    soon: None,
    running: Running,
    watching: Watching,
    upload_of: UploadOf,
    alice: User,
    charlie: User,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    long, short = numbers(tmp_path / "long.wav", 120), numbers(tmp_path / "short.wav", 4)
    of_alice, of_charlie = await in_thread(upload_of)(alice, long), await in_thread(upload_of)(charlie, short)
    first = await start(of_alice, **PACED)
    others = [await start(of_alice, **PACED) for _ in range(slots - 1)]
    async with running(slots), watching(alice, first) as viewer:
        for job in (first, *others):
            await until(job, lambda now: now.segment_count >= 1)
        waiting = await start(of_charlie)
        await viewer.until(lambda viewer: viewer.job.get("failure_reason") == preemption.REASON)
        monkeypatch.setattr(preemption, "WAIT_SECONDS", 60.0)  # so that Charlie's job is not preempted in turn
        assert (viewer.job["status"], viewer.partials) == ("queued", {})
        done = await until_status(waiting, Status.COMPLETED)
        await viewer.until_status("completed")
        all_of_alice = [await until_status(job, Status.COMPLETED) for job in (first, *others)]
        await viewer.until(lambda viewer: viewer.seq == 60)
    # The first job was claimed, preempted and claimed again. Alice's other job and Charlie's ran without interruption.
    assert [job.attempt for job in (*all_of_alice, done)] == [3, *[1] * slots]
    assert [await stored_words(job) for job in (first, *others)] == [words(120)] * slots
    assert viewer.words == words(120)


async def test_job_of_an_engine_that_is_not_preemptible_runs_to_its_end(
    soon: None,
    running: Running,
    upload_of: UploadOf,
    alice: User,
    charlie: User,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert (LocalEngine.is_preemptible, AwsEngine.is_preemptible) == (True, False)
    monkeypatch.setattr(ScriptedEngine, "is_preemptible", False)
    of_alice, of_charlie = [
        await in_thread(upload_of)(owner, numbers(tmp_path / f"{owner}.wav", 20)) for owner in (alice, charlie)
    ]
    first = await start(of_alice, **PACED)
    async with running(1):
        await until(first, lambda now: now.segment_count >= 1)
        await until_status(await start(of_charlie), Status.COMPLETED)
        assert (await Job.objects.aget(pk=first.pk)).attempt == 1


def waiting(owner: User, seconds: float, **fields: Any) -> Job:
    at = timezone.now() - timedelta(seconds=seconds)
    return make_job(make_upload(owner), Status.QUEUED, created_at=at, **fields)


def test_preemption_is_due_only_if_another_person_waited_thirty_seconds(
    alice: User, charlie: User, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = timezone.now()
    waiting(alice, 3600)
    assert not preemption.is_due(alice.pk), "only a job of the same person waits"
    of_charlie = waiting(charlie, 29)
    assert not preemption.is_due(alice.pk)
    Job.objects.filter(pk=of_charlie.pk).update(created_at=now - timedelta(seconds=31))
    assert preemption.is_due(alice.pk)
    for changes in (
        {"queued_at": now},  # resumed just now
        {"claimable_at": now + timedelta(seconds=9)},  # postponed
        {"status": Status.CANCELLED},
    ):
        before = Job.objects.filter(pk=of_charlie.pk).values(*changes)[0]
        Job.objects.filter(pk=of_charlie.pk).update(**changes)
        assert not preemption.is_due(alice.pk), changes
        Job.objects.filter(pk=of_charlie.pk).update(**before)
    assert preemption.is_due(alice.pk)
    monkeypatch.setattr(ScriptedEngine, "most_jobs", classmethod(lambda cls: 0))
    assert not preemption.is_due(alice.pk), "its engine has no room"
    monkeypatch.undo()
    make_job(make_upload(charlie), Status.RUNNING)
    settings.TRANSCRIBE_MAX_JOBS_A_PERSON = 1
    assert not preemption.is_due(alice.pk), "its owner has as many running as allowed"


def test_preempts_a_person_at_most_once_in_five_minutes(alice: User, charlie: User) -> None:
    upload = make_upload(alice)
    first, second = [make_job(upload, Status.RUNNING) for _ in range(2)]
    waiting(charlie, 60)
    assert preemption.preempt(first)
    first.refresh_from_db()
    assert (first.status, first.failure_reason, first.worker) == (Status.QUEUED, preemption.REASON, "")
    assert not preemption.preempt(second), "another worker has just preempted a job of hers"
    Job.objects.filter(pk=first.pk).update(preempted_at=timezone.now() - timedelta(seconds=299))
    assert not preemption.preempt(second)
    Job.objects.filter(pk=first.pk).update(preempted_at=timezone.now() - timedelta(seconds=301))
    assert preemption.preempt(second)
    with pytest.raises(lifecycle.LostClaim):
        Job.objects.update(preempted_at=None)
        preemption.preempt(second)


def test_preempted_job_is_not_claimed_before_the_waiting_job(alice: User, charlie: User) -> None:
    older = make_job(make_upload(alice), Status.RUNNING, created_at=timezone.now() - timedelta(hours=1))
    newer = waiting(charlie, 60)
    assert preemption.preempt(older)
    claimed = queue.claim_next("worker")
    assert claimed is not None
    assert claimed.pk == newer.pk


def test_jobs_of_two_people_have_no_sole_owner(alice: User, charlie: User) -> None:
    of_alice, of_charlie = (make_job(make_upload(owner), Status.RUNNING) for owner in (alice, charlie))
    assert preemption.sole_owner([of_alice, of_alice]) == alice.pk
    assert preemption.sole_owner([of_alice, of_charlie]) is None
    assert preemption.sole_owner([]) is None
