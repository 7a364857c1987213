"""Jobs with recordings in a bucket: they run from a copy, wait during an outage, and fail if the bucket refuses."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db.models import QuerySet
from pytest_django.fixtures import Settings

from streaming.jobs import lifecycle
from streaming.models import Job, Status
from tests.s3 import Bucket
from tests.streaming.conftest import PATIENCE_SECONDS, Running, numbers, transcript_of, words
from tests.streaming.factories import make_upload
from uploads.files import storage
from uploads.models import Upload

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("in_bucket")]


@pytest.fixture
def upload(alice: User, tmp_path: Path, upload_of: object) -> Upload:
    made: Upload = upload_of(alice, numbers(tmp_path / "six.wav", 6))  # type: ignore[operator]
    return made


def copies(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("copy-*")]


async def until(found: "QuerySet[Job]") -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await found.aexists():
            await asyncio.sleep(0.05)


async def test_job_is_postponed_while_the_bucket_is_unavailable_and_then_completes(
    upload: Upload, running: Running, bucket: Bucket, settings: Settings
) -> None:
    bucket.gate.shut()
    job, _ = await sync_to_async(lifecycle.start)(upload)
    mine = Job.objects.filter(pk=job.pk)
    async with running():
        reason = "The storage of the recordings can't be reached now. The job retries automatically."
        await until(mine.filter(status=Status.QUEUED, postponed_count__gte=1, failure_reason=reason))
        bucket.gate.open()
        await until(mine.filter(status=Status.COMPLETED))
    assert await sync_to_async(transcript_of)(job) == words(6)
    assert copies(Path(settings.DATA_DIR)) == []


async def test_recording_missing_from_the_bucket_fails_its_job(alice: User, running: Running, bucket: Bucket) -> None:
    upload = await sync_to_async(make_upload)(alice)
    bucket.client.delete_object(Bucket=bucket.name, Key=upload.file.name)
    job, _ = await sync_to_async(lifecycle.start)(upload)
    async with running():
        await until(Job.objects.filter(pk=job.pk, status=Status.FAILED))
    await job.arefresh_from_db()
    assert job.failure_reason.startswith("The file of this recording is missing.")


def deny(bucket: Bucket, key: str) -> None:
    rule = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket.name}/*"}
    bucket.client.put_bucket_policy(
        Bucket=bucket.name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [rule]})
    )


def archive(bucket: Bucket, key: str) -> None:
    content = bucket.content(key)
    bucket.client.put_object(Bucket=bucket.name, Key=key, Body=content, StorageClass="GLACIER")


def cut_to_nothing(bucket: Bucket, key: str) -> None:
    bucket.client.put_object(Bucket=bucket.name, Key=key, Body=b"")


def cut_to_half(bucket: Bucket, key: str) -> None:
    content = bucket.content(key)
    bucket.client.put_object(Bucket=bucket.name, Key=key, Body=content[: len(content) // 2])


def delete_bucket(bucket: Bucket, key: str) -> None:
    bucket.client.delete_object(Bucket=bucket.name, Key=key)
    bucket.client.delete_bucket(Bucket=bucket.name)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (deny, "denies access to this recording"),
        (archive, "archived in the storage (InvalidObjectState)"),
        (cut_to_nothing, storage.INCOMPLETE),
        (cut_to_half, storage.INCOMPLETE),
        (delete_bucket, "does not exist (NoSuchBucket)"),
    ],
)
async def test_recording_that_the_bucket_refuses_fails_its_job_with_a_sentence(
    spoil: Callable[[Bucket, str], None], reason: str, upload: Upload, running: Running, bucket: Bucket
) -> None:
    await asyncio.to_thread(spoil, bucket, str(upload.file.name))
    job, _ = await sync_to_async(lifecycle.start)(upload)
    async with running():
        await until(Job.objects.filter(pk=job.pk).exclude(status__in=["queued", "running"]))
    await job.arefresh_from_db()
    assert (job.status, job.postponed_count) == (Status.FAILED, 0)
    assert reason in job.failure_reason


async def test_job_postponed_for_the_storage_delays_no_later_job_of_its_engine(
    upload: Upload, running: Running, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "FIRST_PAUSE_SECONDS", 10 * PATIENCE_SECONDS)
    bucket.gate.shut()
    first, _ = await sync_to_async(lifecycle.start)(upload)
    async with running():
        await until(Job.objects.filter(pk=first.pk, status=Status.QUEUED, postponed_count=1))
        later, _ = await sync_to_async(lifecycle.start)(upload)
        await until(Job.objects.filter(pk=later.pk, status=Status.QUEUED, postponed_count=1))
    await first.arefresh_from_db()
    assert first.postponed_count == 1, "the first job was not claimed again meanwhile"


async def test_job_that_waited_too_long_for_the_storage_fails_and_can_be_resumed(
    upload: Upload, running: Running, bucket: Bucket
) -> None:
    bucket.gate.shut()
    job, _ = await sync_to_async(lifecycle.start)(upload)
    mine = Job.objects.filter(pk=job.pk)
    await mine.aupdate(postponed_count=lifecycle.MOST_WAITS_FOR_STORAGE)
    async with running():
        await until(mine.filter(status=Status.FAILED, failure_reason__endswith=lifecycle.TOO_LONG))
        bucket.gate.open()
        await sync_to_async(lifecycle.retry)(job)
        await until(mine.filter(status=Status.COMPLETED))
    assert await sync_to_async(transcript_of)(job) == words(6)
