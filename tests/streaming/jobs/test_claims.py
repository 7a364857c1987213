"""Claims of jobs by workers: their order, their uniqueness, and the fencing of workers that lost a claim."""

import threading
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.utils import timezone

from streaming.jobs import lifecycle, queue
from streaming.models import Job, Segment, Status
from streaming.results import Result
from tests.streaming.factories import make_job, make_upload
from tests.streaming.jobs.test_lifecycle import final, queued

pytestmark = pytest.mark.django_db


def test_workers_claim_the_oldest_job_first_and_none_twice(alice: User) -> None:
    upload = make_upload(alice)
    made = [queued(upload) for _ in range(3)]
    claims = [queue.claim_next("worker-1") for _ in range(4)]
    assert [job and job.pk for job in claims] == [*[job.pk for job in made], None]


def test_expired_lease_lets_another_worker_claim_and_fences_off_the_first(alice: User) -> None:
    queued(make_upload(alice))
    frozen = queue.claim_next("worker-1")
    assert frozen is not None
    assert queue.claim_next("worker-2") is None
    Job.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    taken = queue.claim_next("worker-2")
    assert taken is not None
    assert (taken.attempt, taken.worker) == (frozen.attempt + 1, "worker-2")

    for write in (
        lambda: lifecycle.store_final(frozen.pk, frozen.attempt, 1, final("stale"), 1.0),
        lambda: lifecycle.extend_lease(frozen.pk, frozen.attempt, 1.0),
        lambda: lifecycle.finish(frozen.pk, frozen.attempt, Status.COMPLETED),
    ):
        with pytest.raises(lifecycle.LostClaim):
            write()
    lifecycle.hand_back(frozen.pk, frozen.attempt)
    taken.refresh_from_db()
    assert (taken.status, taken.worker, taken.segment_count) == (Status.RUNNING, "worker-2", 0)
    assert not Segment.objects.exists()


def test_requeues_the_jobs_of_a_dead_worker_and_no_others(alice: User) -> None:
    upload = make_upload(alice)
    of_the_dead, of_the_living = queued(upload), queued(upload)
    assert queue.claim_next("dead") is not None
    assert queue.claim_next("living") is not None
    assert lifecycle.requeue_jobs_of(["dead"]) == 1
    freed = queue.claim_next("new")
    assert freed is not None
    assert freed.pk == of_the_dead.pk
    of_the_living.refresh_from_db()
    assert (of_the_living.worker, of_the_living.attempt) == ("living", 1)


def test_lease_of_an_unknown_job_cannot_be_extended() -> None:
    with pytest.raises(lifecycle.LostClaim):
        lifecycle.extend_lease(uuid4(), 1, 0.0)


def test_backoff_of_a_postponed_job_doubles_until_a_final_resets_it(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)  # a stopped clock
    job = make_job(make_upload(alice), Status.QUEUED)
    pauses = []
    for _ in range(6):
        claimed = queue.claim_next("worker")
        assert claimed is not None
        lifecycle.postpone(claimed.pk, claimed.attempt, "Waiting for room.")
        job.refresh_from_db()
        assert (job.status, job.failure_reason) == (Status.QUEUED, "Waiting for room.")
        assert job.claimable_at is not None
        pauses.append((job.claimable_at - now).total_seconds())
        assert queue.claim_next("worker") is None, "not before its backoff ends"
        Job.objects.update(claimable_at=now)
    assert all(2**n <= pause <= 2**n * 1.5 for n, pause in enumerate(pauses[:5]))
    assert pauses[5] == 30.0
    claimed = queue.claim_next("worker")
    assert claimed is not None
    lifecycle.store_final(claimed.pk, claimed.attempt, 1, Result("Hello.", 0.0, 1.0, False), position=1.0)
    lifecycle.postpone(claimed.pk, claimed.attempt, "Waiting for room.")
    job.refresh_from_db()
    assert job.claimable_at is not None
    assert (job.claimable_at - now).total_seconds() <= 1.5


def test_later_job_does_not_overtake_a_job_that_waits_for_room(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "FIRST_PAUSE_SECONDS", 30.0)  # longer than this test takes
    make_job(make_upload(alice), Status.QUEUED)
    waiting = queue.claim_next("worker")
    assert waiting is not None
    lifecycle.postpone(waiting.pk, waiting.attempt, "Waiting for room.")
    later = make_job(make_upload(alice), Status.QUEUED)
    elsewhere = make_job(make_upload(alice), Status.QUEUED, engine="local")
    assert [job.pk for _ in range(2) if (job := queue.claim_next("worker"))] == [elsewhere.pk]
    Job.objects.filter(pk=waiting.pk).update(claimable_at=timezone.now())
    assert [job.pk for _ in range(2) if (job := queue.claim_next("worker"))] == [waiting.pk, later.pk]


def test_cancelling_a_postponed_job_ends_its_backoff(alice: User) -> None:
    make_job(make_upload(alice), Status.QUEUED)
    waiting = queue.claim_next("worker")
    assert waiting is not None
    lifecycle.postpone(waiting.pk, waiting.attempt, "Waiting for room.")
    cancelled = lifecycle.cancel(waiting)
    assert (cancelled.failure_reason, cancelled.claimable_at) == ("", None)


@pytest.mark.django_db(transaction=True)
def test_eight_workers_claim_no_job_of_two_hundred_twice(alice: User) -> None:
    upload = make_upload(alice)
    made = Job.objects.bulk_create(Job(upload=upload, owner=alice, engine="scripted") for _ in range(200))
    claims: list[tuple[str, UUID]] = []
    together = threading.Barrier(8)

    def claim(worker: str) -> None:
        together.wait()
        while (job := queue.claim_next(worker)) is not None:
            claims.append((worker, job.pk))
        connections.close_all()

    threads = [threading.Thread(target=claim, args=[f"worker-{number}"]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(pk for _, pk in claims) == sorted(job.pk for job in made)
    assert sorted(Job.objects.values_list("worker", "pk")) == sorted(claims)
    assert set(Job.objects.values_list("attempt", "status")) == {(1, Status.RUNNING)}
