"""Jobs whose recordings are in a bucket: they run from a copy, and wait while the bucket is away."""

import asyncio
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db.models import QuerySet
from pytest_django.fixtures import Settings

from streaming import jobs
from streaming.models import Job, Status
from tests.s3 import Bucket
from tests.streaming.conftest import PATIENCE_SECONDS, Running, numbers, transcript_of, words
from tests.streaming.factories import make_upload
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


async def test_a_job_waits_while_the_bucket_is_away_and_completes_after(
    upload: Upload, running: Running, bucket: Bucket, settings: Settings
) -> None:
    bucket.gate.shut()
    job, _ = await sync_to_async(jobs.start)(upload)
    mine = Job.objects.filter(pk=job.pk)
    async with running():
        reason = "The storage of the recordings can't be reached now. The job waits until it can."
        await until(mine.filter(status=Status.QUEUED, postponed_count__gte=1, failure_reason=reason))
        bucket.gate.open()
        await until(mine.filter(status=Status.COMPLETED))
    assert await sync_to_async(transcript_of)(job) == words(6)
    assert copies(Path(settings.DATA_DIR)) == []


async def test_a_recording_that_is_missing_from_the_bucket_fails_its_job(
    alice: User, running: Running, bucket: Bucket
) -> None:
    upload = await sync_to_async(make_upload)(alice)
    bucket.client.delete_object(Bucket=bucket.name, Key=upload.file.name)
    job, _ = await sync_to_async(jobs.start)(upload)
    async with running():
        await until(Job.objects.filter(pk=job.pk, status=Status.FAILED))
    await job.arefresh_from_db()
    assert job.failure_reason.startswith("The file of this recording is missing.")
