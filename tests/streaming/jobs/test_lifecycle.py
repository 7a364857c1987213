"""The lifecycle of a job in the database: every transition, the fencing of its workers, and the stored results."""

import re
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from django.utils import timezone

from streaming.engines.base import Request
from streaming.jobs import lifecycle, permissions, queue
from streaming.models import Job, Segment, Status
from streaming.results import Result, spread_words
from tests.streaming.factories import make_job, make_upload
from uploads import recordings
from uploads.models import Upload

pytestmark = pytest.mark.django_db


def final(text: str, start: float = 0.0, end: float = 1.0) -> Result:
    return Result(text, start, end, is_partial=False, words=spread_words(text, start, end))


def queued(upload: Upload) -> Job:
    return make_job(upload, status=Status.QUEUED)


def claimed(job: Job) -> Job:
    taken = queue.claim_next("worker-1")
    assert taken is not None
    assert taken.pk == job.pk
    return taken


def test_job_starts_with_the_default_engine_in_its_first_language(alice: User) -> None:
    upload = make_upload(alice, duration=12.5)
    job, is_new = lifecycle.start(upload)
    assert is_new
    assert (job.engine, job.language_code, job.status, job.owner, job.duration) == (
        "scripted",
        "en-US",
        Status.QUEUED,
        alice,
        12.5,
    )


def test_repeated_request_id_returns_the_same_job(alice: User, charlie: User) -> None:
    upload = make_upload(alice)
    first, _ = lifecycle.start(upload, request_id="r1")
    again, is_new = lifecycle.start(upload, request_id="r1")
    assert (again.pk, is_new) == (first.pk, False)
    other, is_new = lifecycle.start(make_upload(charlie), request_id="r1")
    assert is_new
    assert other.pk != first.pk


def test_refuses_a_request_id_of_another_recording(alice: User) -> None:
    lifecycle.start(make_upload(alice), request_id="r1")
    with pytest.raises(lifecycle.JobRefused, match="another recording"):
        lifecycle.start(make_upload(alice), request_id="r1")


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"engine": "psychic"}, "This site has no engine “psychic”. Choose one of: local, scripted."),
        ({"language_code": "tlh"}, "does not support the language “tlh”. Choose one of: en-US, de-DE."),
        ({"engine": "local", "options": {"magic": True}}, "has no option “magic”"),
        ({"request_id": "x" * 101}, "1 to 100 characters"),
    ],
)
def test_refuses_to_start_an_invalid_job(alice: User, asked: dict[str, Any], sentence: str) -> None:
    with pytest.raises(lifecycle.JobRefused, match=sentence):
        lifecycle.start(make_upload(alice), **asked)
    assert not Job.objects.exists()


def test_stores_a_final_with_its_words_and_counts_it(alice: User) -> None:
    job = claimed(queued(make_upload(alice)))
    segment = lifecycle.store_final(job.pk, job.attempt, 1, final("to be", 1.0, 2.0), 2.5)
    job.refresh_from_db()
    assert (job.segment_count, job.word_count, job.position) == (1, 2, 2.5)
    assert (segment.seq, segment.text, segment.start_time, segment.end_time) == (1, "to be", 1.0, 2.0)
    assert segment.words == [
        {"text": "to", "start_time": 1.0, "end_time": 1.5},
        {"text": "be", "start_time": 1.5, "end_time": 2.0},
    ]


def test_refuses_a_final_whose_number_is_already_stored(alice: User) -> None:
    job = claimed(queued(make_upload(alice)))
    lifecycle.store_final(job.pk, job.attempt, 1, final("one"), 1.0)
    with pytest.raises(lifecycle.LostClaim):
        lifecycle.store_final(job.pk, job.attempt, 1, final("one again"), 1.0)
    assert [segment.text for segment in job.segments.all()] == ["one"]


def test_cancel_takes_the_job_from_its_worker_and_keeps_the_finals(alice: User) -> None:
    job = claimed(queued(make_upload(alice)))
    lifecycle.store_final(job.pk, job.attempt, 1, final("kept"), 1.0)
    cancelled = lifecycle.cancel(Job.objects.get(pk=job.pk))
    assert (cancelled.status, cancelled.segment_count) == (Status.CANCELLED, 1)
    with pytest.raises(lifecycle.LostClaim):
        lifecycle.store_final(job.pk, job.attempt, 2, final("late"), 2.0)


def test_retry_resumes_after_the_last_final(alice: User) -> None:
    job = claimed(queued(make_upload(alice)))
    lifecycle.store_final(job.pk, job.attempt, 1, final("one", 0.0, 3.5), 4.0)
    lifecycle.finish(job.pk, job.attempt, Status.FAILED, "It broke.")
    again = claimed(lifecycle.retry(Job.objects.get(pk=job.pk)))
    assert (again.failure_reason, again.segment_count, lifecycle.remaining(again).start_time) == ("", 1, 3.5)
    assert lifecycle.store_final(again.pk, again.attempt, 2, final("two", 3.5, 4.0), 4.0).seq == 2


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED, Status.CANCELLED])
def test_refuses_to_cancel_an_ended_job(alice: User, status: Status) -> None:
    job = make_job(make_upload(alice), status=status)
    with pytest.raises(lifecycle.JobRefused, match="already finished"):
        lifecycle.cancel(job)


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RUNNING, Status.COMPLETED])
def test_refuses_to_retry_a_job_that_neither_failed_nor_was_cancelled(alice: User, status: Status) -> None:
    job = make_job(make_upload(alice), status=status)
    with pytest.raises(lifecycle.JobRefused, match="Only failed or cancelled"):
        lifecycle.retry(job)


def test_deleted_job_refuses_every_change(alice: User) -> None:
    job = claimed(queued(make_upload(alice)))
    lifecycle.store_final(job.pk, job.attempt, 1, final("one"), 1.0)
    lifecycle.delete(job)
    assert not Segment.objects.exists()
    for change in (lifecycle.cancel, lifecycle.retry):
        with pytest.raises(lifecycle.JobRefused) as refusal:
            change(job)
        assert refusal.value.code == "not_found"
    with pytest.raises(lifecycle.LostClaim):
        lifecycle.extend_lease(job.pk, job.attempt, 1.0)


def test_owner_sees_own_jobs_and_staff_with_the_permission_all(alice: User, bob: User, charlie: User) -> None:
    job = queued(make_upload(alice))
    charlie.is_staff = True  # makes Charlie staff, without the permission
    seen = {user.username: list(Job.objects.visible_to(user)) for user in (alice, bob, charlie)}
    assert seen == {"alice": [job], "bob": [job], "charlie": []}
    assert [permissions.may_change(user, job) for user in (alice, bob, charlie)] == [True, True, False]


def test_engine_request_starts_after_the_stored_finals(alice: User) -> None:
    make_job(make_upload(alice), Status.QUEUED, options={"enable_channel_identification": True})
    job = queue.claim_next("worker")
    assert job is not None
    finals = [
        Result("Hello.", 0.0, 4.0, False, slot="ch_0", channel="ch_0", speaker="Speaker 2", resume_time=3.0),
        Result("Yes.", 2.0, 9.0, False, slot="ch_1", channel="ch_1", speaker="Speaker 1", resume_time=8.0),
        Result("Well.", 4.0, 8.0, False, slot="ch_0", channel="ch_0", speaker="Speaker 2", resume_time=7.0),
    ]
    for seq, final in enumerate(finals, 1):
        lifecycle.store_final(job.pk, job.attempt, seq, final, position=10.0)
    assert lifecycle.remaining(Job.objects.get(pk=job.pk)) == Request(
        "en-US",
        {"enable_channel_identification": True},
        start_time=8.0,
        ended={"ch_0": 8.0, "ch_1": 9.0},
        speakers=("Speaker 2", "Speaker 1"),
    )


def test_storing_the_same_final_again_stores_it_once(alice: User) -> None:
    job = claimed(queued(make_upload(alice)))
    first = lifecycle.store_final(job.pk, job.attempt, 1, final("one two"), 1.0)
    again = lifecycle.store_final(job.pk, job.attempt, 1, final("one two"), 1.0)
    job.refresh_from_db()
    assert (again, job.segment_count, job.word_count) == (first, 1, 2)
    lifecycle.cancel(job)
    with pytest.raises(lifecycle.LostClaim):
        lifecycle.store_final(job.pk, job.attempt, 1, final("one two"), 1.0)


def test_unstorable_characters_are_stored_as_replacement_characters(alice: User) -> None:
    job = claimed(queued(make_upload(alice)))
    said = replace(final("be\0fore \ud83d after"), speaker="A\0")
    segment = lifecycle.store_final(job.pk, job.attempt, 1, said, 1.0)
    segment.refresh_from_db()
    assert (segment.text, segment.speaker) == ("be\ufffdfore \ufffd after", "A\ufffd")
    assert [word["text"] for word in segment.words] == ["be\ufffdfore", "\ufffd", "after"]
    lifecycle.finish(job.pk, job.attempt, Status.FAILED, "It said \0.")
    job.refresh_from_db()
    assert job.failure_reason == "It said \ufffd."


@pytest.mark.parametrize("asked", [{"options": {"words": ["\0"]}}, {"options": {"\ud83d": 1}}, {"request_id": "\0"}])
def test_refuses_a_request_with_unstorable_characters(alice: User, asked: dict[str, Any]) -> None:
    with pytest.raises(lifecycle.JobRefused, match="can't be stored"):
        lifecycle.start(make_upload(alice), **asked)
    assert not Job.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_refuses_to_start_a_job_while_its_recording_is_deleted(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = make_upload(alice)
    of_another_request = Upload.objects.get(pk=upload.pk)
    outcomes: list[object] = []

    def start() -> None:
        try:
            outcomes.append(lifecycle.start(of_another_request))
        except lifecycle.JobRefused as refusal:
            outcomes.append(refusal.code)
        finally:
            connections.close_all()

    starting = threading.Thread(target=start)
    delete = recordings.delete

    def delete_while_starting(upload: Upload) -> None:
        starting.start()
        starting.join(0.5)  # the start must wait for the lock; without the lock it would end by now
        delete(upload)

    monkeypatch.setattr(recordings, "delete", delete_while_starting)
    lifecycle.delete_upload(upload)
    starting.join()
    assert outcomes == ["not_found"]


def test_processing_time_counts_all_attempts_without_the_waits(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    began = datetime(2026, 11, 26, 12, tzinfo=UTC)
    now = began

    def at(seconds: float) -> None:
        nonlocal now
        now = began + timedelta(seconds=seconds)

    monkeypatch.setattr(timezone, "now", lambda: now)
    job = make_job(make_upload(alice), Status.QUEUED)

    def claim() -> None:
        job.refresh_from_db()
        assert job.claim("here/1", lease_seconds=20)

    claim()
    at(5)
    assert Job.objects.filter(pk=job.pk).hand_back(job.attempt)  # 5 s of work
    at(100)
    claim()
    at(110)
    assert Job.objects.filter(pk=job.pk).extend_lease(job.attempt, 20, 1.0)
    at(200)
    claim()  # a second worker claims it; the first may have worked until its lease expired at 130: 30 s
    at(203)
    assert Job.objects.filter(pk=job.pk).finish(job.attempt, Status.FAILED)  # 3 s
    job.refresh_from_db()
    assert job.took == timedelta(seconds=38)
    at(900)
    assert Job.objects.filter(pk=job.pk).retry()
    at(1000)
    claim()
    at(1002)
    assert Job.objects.filter(pk=job.pk).finish(job.attempt, Status.COMPLETED)  # 2 s
    job.refresh_from_db()
    assert job.took == timedelta(seconds=40)


def test_job_that_was_never_claimed_has_no_processing_time(alice: User) -> None:
    job = make_job(make_upload(alice), Status.QUEUED)
    assert Job.objects.filter(pk=job.pk).cancel()
    job.refresh_from_db()
    assert job.took is None
    assert Job.objects.filter(pk=job.pk).retry()


def test_job_with_a_final_failure_offers_no_retry(alice: User, client_of: Callable[[User], Client]) -> None:
    job = make_job(make_upload(alice), Status.FAILED, is_final=True)
    assert not job.is_retryable
    with pytest.raises(lifecycle.JobRefused, match="Only failed or cancelled"):
        lifecycle.retry(job)
    page = client_of(alice).get(job.get_absolute_url()).content.decode()
    assert re.search(r'data-sends="retry" data-for="failed cancelled" hidden', page)
    assert "Resume to continue" not in page
