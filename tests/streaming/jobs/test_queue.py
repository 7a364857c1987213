"""The queue: fair between people, within the limits, and with positions that viewers see."""

import threading
import time
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections

from streaming.db import in_thread
from streaming.engines.scripted import ScriptedEngine
from streaming.jobs import lifecycle, queue
from streaming.models import Job, Status
from tests.streaming.conftest import PATIENCE_SECONDS, Watching
from tests.streaming.factories import make_job, make_upload


def waiting(owner: User, count: int) -> list[Job]:
    upload = make_upload(owner)
    return [make_job(upload, Status.QUEUED) for _ in range(count)]


def claimed(count: int) -> list[Job]:
    return [job for _ in range(count) if (job := queue.claim_next("worker")) is not None]


def test_hundred_jobs_of_one_person_do_not_delay_the_job_of_another(alice: User, charlie: User) -> None:
    many = waiting(alice, 100)
    one = waiting(charlie, 1)
    assert [job.pk for job in claimed(3)] == [many[0].pk, one[0].pk, many[1].pk]


def test_owner_with_the_fewest_running_jobs_goes_first(alice: User, bob: User, charlie: User) -> None:
    of_alice, of_bob, of_charlie = waiting(alice, 3), waiting(bob, 3), waiting(charlie, 1)
    turns = [of_alice[0], of_bob[0], of_charlie[0], of_alice[1], of_bob[1], of_alice[2], of_bob[2]]
    assert queue.places() == {job.pk: place for place, job in enumerate(turns, 1)}
    assert [job.pk for job in claimed(9)] == [job.pk for job in turns]


def test_jobs_of_a_dead_worker_do_not_count_as_running(alice: User, charlie: User) -> None:
    dead = waiting(alice, 1)
    queue.claim_next("dead")
    Job.objects.filter(pk=dead[0].pk).update(lease_expires_at="2000-01-01T00:00:00Z")
    waiting(charlie, 1)
    assert claimed(1)[0].pk == dead[0].pk, "both owners have no running job, so the older job goes first"


def test_runs_no_more_jobs_of_one_person_than_allowed(alice: User, charlie: User, settings: Any) -> None:
    settings.TRANSCRIBE_MAX_JOBS_A_PERSON = 2
    waiting(alice, 5)
    waiting(charlie, 1)
    taken = claimed(6)
    assert sorted(job.owner.username for job in taken) == ["alice", "alice", "charlie"]
    lifecycle.finish(next(job for job in taken if job.owner == alice).pk, 1, Status.COMPLETED)
    assert [job.owner for job in claimed(2)] == [alice]


@pytest.mark.django_db(transaction=True)
def test_concurrent_workers_claim_no_more_jobs_than_an_engine_has_room_for(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ScriptedEngine, "most_jobs", classmethod(lambda cls: 3))
    waiting(alice, 16)
    together = threading.Barrier(8)

    def count() -> int:
        return Job.objects.filter(status=Status.RUNNING).count()

    def claim() -> None:
        try:
            together.wait()
            end = time.monotonic() + PATIENCE_SECONDS
            # A worker gets no job while another one claims, so it tries again.
            while count() < 3 and time.monotonic() < end:
                claimed(2)
            claimed(2)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count() == 3


def test_job_page_shows_the_queue_position(alice: User, charlie: User, client_of: Any) -> None:
    waiting(alice, 2)
    third = waiting(charlie, 2)[1]
    assert "4 of 4 in the queue" in client_of(charlie).get(third.get_absolute_url()).content.decode()


@pytest.mark.django_db(transaction=True)
async def test_viewer_gets_the_new_position_when_the_queue_moves(
    alice: User, charlie: User, watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.live.hub.POLL_SECONDS", 0.05)
    first = await in_thread(waiting)(alice, 1)
    mine = (await in_thread(waiting)(charlie, 1))[0]
    async with watching(charlie, mine) as viewer:
        await viewer.until(lambda viewer: viewer.job.get("queue") == {"place": 2, "length": 2})
        await in_thread(lifecycle.cancel)(first[0])
        await viewer.until(lambda viewer: viewer.job.get("queue") == {"place": 1, "length": 1})
        assert await in_thread(queue.claim_next)("worker") is not None
        await viewer.until_status("running")
        assert "queue" not in viewer.job
