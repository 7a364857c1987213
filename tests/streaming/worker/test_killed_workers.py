"""Workers in separate processes that are killed, frozen and stopped: another one resumes, and no word is lost."""

import asyncio
import signal
from itertools import islice
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone

from streaming.db import in_thread
from streaming.jobs import lifecycle, queue
from streaming.models import Job, Status
from streaming.results import Result
from streaming.worker import shutdown
from tests.faults.proxy import Proxy
from tests.streaming.conftest import (
    LONG_LEASE_SECONDS,
    PATIENCE_SECONDS,
    Other,
    Running,
    Watching,
    dies_at,
    freezes_at,
    words,
)
from tests.streaming.worker.test_runner import Spoken, start, stored_words, until, until_status

PACED = {"pace": 10, "words_per_final": 20}  # a final a second, and partials in between
LONG = {"pace": 4, "words_per_final": 8}  # the same, but for longer than a busy machine takes to start eight jobs


def spools() -> list[Path]:
    return list((Path(settings.DATA_DIR) / "workers").glob("**/*.pcm"))


@pytest.mark.parametrize("step", ["claimed", "decoding", "storing", "stored", "ending"])
async def test_killed_worker_loses_no_word_and_leaves_no_spool(
    other: Other, running: Running, spoken: Spoken, step: str
) -> None:
    job = await start(await in_thread(spoken)(21))
    await dies_at(step, other())
    left = await Job.objects.aget(pk=job.pk)
    assert (left.status, left.attempt) == (Status.RUNNING, 1)
    async with running():
        done = await until_status(job, Status.COMPLETED)
    assert (await stored_words(job), done.attempt) == (words(21), 3)
    assert [segment.seq async for segment in job.segments.order_by("seq")] == [1, 2, 3, 4, 5, 6]
    assert spools() == []


async def test_viewers_get_a_final_whose_worker_was_killed_before_publishing(
    other: Other, watching: Watching, spoken: Spoken, alice: User, over_redis: str
) -> None:
    job = await start(await in_thread(spoken)(21))
    async with watching(alice, job) as viewer:
        await dies_at("stored", other(REDIS_URL=over_redis))
        await viewer.until(lambda viewer: viewer.seq == 2)
        assert viewer.words == words(8)


async def test_worker_frozen_past_its_lease_changes_nothing_after_it_wakes(
    other: Other,
    running: Running,
    watching: Watching,
    spoken: Spoken,
    alice: User,
    over_redis: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Of the second worker, or its job would be claimed again.
    monkeypatch.setattr(settings, "TRANSCRIBE_LEASE_SECONDS", LONG_LEASE_SECONDS)
    job = await start(await in_thread(spoken)(60), **PACED)
    frozen = other(REDIS_URL=over_redis)
    async with watching(alice, job) as viewer:
        await freezes_at("hearing", frozen)
        assert frozen.process is not None
        await viewer.until(lambda viewer: viewer.seq == 1)
        before = viewer.job["started_at"]
        # The frozen worker's next heartbeat is far off: it learns of the loss from its next final, after many partials.
        await Job.objects.filter(pk=job.pk).aupdate(lease_expires_at=timezone.now())
        taken = await in_thread(queue.claim_next)("another")
        assert taken is not None
        await viewer.until(lambda viewer: viewer.job["started_at"] != before)
        seen = len(viewer.events)
        frozen.process.send_signal(signal.SIGCONT)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while "Attempt ended: lost" not in frozen.log():
                await asyncio.sleep(0.05)
        now = await Job.objects.aget(pk=job.pk)
        assert (now.segment_count, now.attempt, now.worker) == (1, taken.attempt, "another")
        frozen.kill()  # or it would claim the job again
        await in_thread(lifecycle.hand_back)(taken.pk, taken.attempt)
        await viewer.until_status("queued")
        assert {event["type"] for event in viewer.events[seen:]} == {"status"}
        assert {event["job"]["status"] for event in viewer.events[seen:-1]} <= {"running"}
    async with running(), watching(alice, job) as viewer:
        await viewer.until_status("completed")
        assert viewer.words == words(60)
    assert await stored_words(job) == words(60)


@pytest.mark.parametrize("redis_says", ["everything", "nothing"])
async def test_stopped_worker_hands_back_all_jobs_within_ten_seconds(
    other: Other, spoken: Spoken, redis_url: str, redis_says: str
) -> None:
    upload = await in_thread(spoken)(400)
    made = [await start(upload, **LONG) for _ in range(8)]
    with Proxy(int(redis_url.split(":")[-1].split("/")[0])) as proxy:
        worker = other(TRANSCRIBE_MAX_JOBS="8", REDIS_URL=f"redis://127.0.0.1:{proxy.port}/0")
        worker.start_worker()
        for job in made:
            await until(job, lambda now: now.segment_count >= 1)
        if redis_says == "nothing":
            proxy.hold()
        assert await asyncio.to_thread(worker.stop) == 0, (
            "it stopped normally; the deadline of END_SECONDS would exit with 1"
        )
        assert shutdown.END_SECONDS < 10
    assert "Traceback" not in worker.log()
    left = {(job.status, job.worker, job.lease_expires_at) async for job in Job.objects.all()}
    assert left == {(Status.QUEUED, "", None)}
    assert spools() == []


async def test_job_that_kills_its_workers_fails_and_can_be_resumed(
    other: Other, running: Running, spoken: Spoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "MOST_LOSSES", 2)
    job = await start(await in_thread(spoken)(8))
    for _ in range(2):
        await dies_at("decoding", other())
    async with running():
        failed = await until_status(job, Status.FAILED)
        assert (failed.failure_reason, failed.is_retryable) == (lifecycle.LOST, True)
        await in_thread(lifecycle.retry)(failed)
        await until_status(job, Status.COMPLETED)
    assert await stored_words(job) == words(8)


@pytest.mark.parametrize("way", ["the lease ran out", "the lock is free"])
async def test_job_fails_after_a_limited_number_of_lost_workers_in_a_row(
    running: Running, spoken: Spoken, way: str
) -> None:
    job = await start(await in_thread(spoken)(8))

    async def lose() -> Job:
        taken = await in_thread(queue.claim_next)("lost")
        assert taken is not None
        if way == "the lease ran out":
            await Job.objects.filter(pk=job.pk).aupdate(lease_expires_at=timezone.now())
        else:
            assert await in_thread(lifecycle.requeue_jobs_of)(["lost"]) == 1
        return taken

    for _ in range(lifecycle.MOST_LOSSES - 1):
        taken = await lose()
    # A final is progress, which resets the count.
    held = await in_thread(queue.claim_next)("slow")
    assert held is not None
    await in_thread(lifecycle.store_final)(held.pk, held.attempt, 1, Result("one", 0.0, 0.1, is_partial=False), 0.1)
    await in_thread(lifecycle.hand_back)(held.pk, held.attempt)
    for _ in range(lifecycle.MOST_LOSSES - 1):
        taken = await lose()
    assert taken.lost_count == lifecycle.MOST_LOSSES - 2
    await lose()
    async with running():
        failed = await until_status(job, Status.FAILED)
    assert failed.failure_reason == lifecycle.LOST


async def test_job_beside_one_that_kills_its_workers_does_not_fail_with_it(running: Running, spoken: Spoken) -> None:
    upload = await in_thread(spoken)(8)
    crashing, beside = await start(upload), await start(upload)

    def crash() -> None:
        """Claim jobs for two slots, as a worker does, and die of the first before either has a final."""
        claimed = list(islice(queue.claims("lost"), 2))
        assert claimed[0].pk == crashing.pk
        assert lifecycle.requeue_jobs_of(["lost"]) == len(claimed)

    for _ in range(lifecycle.MOST_LOSSES):
        await in_thread(crash)()
    async with running():
        await until_status(crashing, Status.FAILED)
        await until_status(beside, Status.COMPLETED)
    assert await stored_words(beside) == words(8)


async def test_worker_runs_no_job_beside_one_that_the_next_lost_worker_would_fail(
    running: Running, spoken: Spoken
) -> None:
    upload, long = await in_thread(spoken)(8), await in_thread(spoken)(60)
    first, suspect, last = await start(upload, **PACED), await start(long, **LONG), await start(long, **PACED)
    await Job.objects.filter(pk=suspect.pk).aupdate(lost_count=lifecycle.MOST_LOSSES - 1)
    async with running():
        # The first claim is the oldest job. The suspect waits until the worker is idle; the last job passes it.
        await until(suspect, lambda now: now.status == Status.RUNNING)
        others = [(await Job.objects.aget(pk=job.pk)).status for job in (first, last)]
        assert others == [Status.COMPLETED, Status.COMPLETED]
        later = await start(upload)
        # The suspect's first final shows that it does not crash its worker there: another job may start beside it.
        await until_status(later, Status.COMPLETED)
        beside = await Job.objects.aget(pk=suspect.pk)
        assert (beside.status, beside.segment_count >= 1) == (Status.RUNNING, True)


async def test_lost_lease_of_a_job_beside_others_does_not_fail_it(transactional_db: None, spoken: Spoken) -> None:
    job = await start(await in_thread(spoken)(8))
    await in_thread(queue.claim_next)("frozen")
    expired = {"lease_expires_at": timezone.now(), "lost_count": lifecycle.MOST_LOSSES - 2}
    await Job.objects.filter(pk=job.pk).aupdate(**expired)
    assert await in_thread(lambda: next(queue.claims("busy", is_idle=False), None))() is None
    await start(job.upload)
    assert [taken.pk for taken in await in_thread(lambda: list(queue.claims("idle")))()] == [job.pk]
