"""Make rows of people, recordings, jobs and transcripts for tests that need no decoder and no engine."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, TypeVar

from django.contrib.auth.models import Permission, User
from django.core.files.base import ContentFile
from django.utils import timezone

from streaming.models import Job, Segment, Status
from streaming.results import spread_words
from tests.recordings import tone
from uploads.models import Upload

SEGMENT_SECONDS = 2.0
Row = TypeVar("Row", Upload, Job)


def make_staff(name: str, *permissions: str) -> User:
    """Return a member of staff with only these permissions, such as `view_job`."""
    person = User.objects.create_user(name, is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return person


def make_upload(owner: User, **fields: Any) -> Upload:
    """Return a recording of one second with a stored file, without decoding it. `fields` may include `created_at`."""
    sound = tone(1.0).read_bytes()
    values: dict[str, Any] = {
        "name": "interview.wav",
        "file": ContentFile(sound, "interview.wav"),
        "size": len(sound),
        "sha256": "0" * 64,
        "container": "wav",
        "codec": "pcm_s16le",
        "duration": 1.0,
        "sample_rate": 16_000,
        "channels": 1,
        "peaks": bytes([0, 128, 255, 128] * 250),
    }
    return _created(Upload.objects.create(owner=owner, **values | _without_created(fields)), fields)


def make_job(upload: Upload, status: Status = Status.COMPLETED, **fields: Any) -> Job:
    """Return a job in any status, with the other fields that this status implies. It has no transcript."""
    now = timezone.now()
    values: dict[str, Any] = {
        "owner": upload.owner,
        "engine": "scripted",
        "language_code": "en-US",
        "duration": upload.duration,
    }
    if status != Status.QUEUED:
        values |= {"attempt": 1, "started_at": now - timedelta(seconds=10)}
    if status == Status.RUNNING:
        values |= {"worker": "here/1", "lease_expires_at": now + timedelta(hours=1)}
    elif status != Status.QUEUED:
        values |= {"finished_at": now}
    if status == Status.FAILED:
        values |= {"failure_reason": "The recogniser ended unexpectedly."}
    if status == Status.COMPLETED:
        values |= {"position": upload.duration}
    return _created(Job.objects.create(upload=upload, status=status, **values | _without_created(fields)), fields)


def make_segments(job: Job, texts: Iterable[str], **fields: Any) -> list[Segment]:
    """Add a final for each text, `SEGMENT_SECONDS` long by default, and update the job's counts.

    `fields` are set on every segment. The words get the times of their segment.
    """
    segments = []
    for text in texts:
        job.segment_count += 1
        start_time = fields.get("start_time", (job.segment_count - 1) * SEGMENT_SECONDS)
        end_time = fields.get("end_time", start_time + SEGMENT_SECONDS)
        words = [word.as_dict() for word in spread_words(text, start_time, end_time)]
        values = {"start_time": start_time, "end_time": end_time, "words": words} | fields
        segments.append(Segment(job=job, seq=job.segment_count, text=text, **values))
        job.word_count += len(text.split())
    job.save(update_fields=["segment_count", "word_count"])
    return Segment.objects.bulk_create(segments)


def _without_created(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name != "created_at"}


def _created(row: Row, fields: dict[str, Any]) -> Row:
    """Set `created_at` afterwards, because the model overwrites it when it creates a row."""
    if "created_at" in fields:
        row.created_at = fields["created_at"]
        row.save(update_fields=["created_at"])
    return row
