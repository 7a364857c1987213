"""The lifecycle of a job. Views and consumers start, cancel, retry and delete jobs; workers store finals and end jobs.

All functions are synchronous: call them in a thread from the event loop. Each step is one short transaction. Messages
to viewers and workers are sent after its commit. Workers claim jobs through `queue.py`.
"""

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Max, Min, Value
from django.db.models.functions import Greatest
from django.utils import timezone

from streaming import events, publisher
from streaming.backoff import pause_seconds
from streaming.engines.base import EngineError, Request
from streaming.engines.registry import engine_class
from streaming.models import Job, Segment, Status
from streaming.results import UNSTORABLE, Result
from streaming.transitions import requeued
from uploads import recordings, tracks
from uploads.models import Upload

FIRST_PAUSE_SECONDS = 1.0  # backoff after a job was postponed once
# The most postponements of a job in a row; each lasts at most 30 s. Together they last about a day if the engine is
# full, because other jobs may occupy it for that long, and about an hour if the storage is unavailable.
MOST_WAITS_FOR_ROOM, MOST_WAITS_FOR_STORAGE = 2880, 120
# How many workers in a row may be lost while they run a job, without a new final. Without this limit a recording that
# crashes its worker would crash all workers, one after the other.
MOST_LOSSES = 5
DELETED = "This job was deleted."
# Reasons of failures omit what is saved and whether to resume: pages add both (`_kept.html` and `state.js`).
LOST = (
    f"The process that transcribed this recording stopped unexpectedly {MOST_LOSSES} times at the same place. "
    "Another engine may work."
)
TOO_LONG = "It has waited too long."


class JobRefused(Exception):
    """A request of a person that cannot be executed. Its text is a sentence for the person, `code` is for programs."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class LostClaim(Exception):
    """The worker no longer holds the job: it was cancelled, deleted, or claimed again after the lease expired."""


def start(
    upload: Upload,
    *,
    engine: str = "",
    language_code: str = "",
    options: Mapping[str, Any] | None = None,
    track: object = None,
    request_id: str | None = None,
) -> tuple[Job, bool]:
    """Create a job for a recording and notify the workers. Returns the job and True.

    If the owner has used `request_id` before, returns that job and False. `track` is an index among the audio tracks,
    or `all`; by default the recording's chosen track. Raises `JobRefused` for an engine that is unknown or not
    configured, an unknown language, options that the engine refuses, and a track that is missing or can't be decoded.
    """
    engine = engine or settings.TRANSCRIBE_DEFAULT_ENGINE
    try:
        chosen = engine_class(engine)
        if missing := chosen.missing():
            raise EngineError(missing, permanent=True)
        language_code = language_code or chosen.default_language(options or {})
        # Stored even if the person chose none, so that a retry uses the same track.
        asked_track = tracks.parse(track)
        tracks.check(upload.tracks, asked_track)
        asked_track = tracks.resolved(upload.tracks, asked_track, upload.track)
        chosen.check(language_code, options or {}, upload.audio_of(asked_track)[1])
    except (EngineError, tracks.UnknownTrack) as error:
        raise JobRefused("bad_request", str(error)) from error
    if request_id is not None and not 0 < len(request_id) <= 100:
        raise JobRefused("bad_request", "A request_id must have 1 to 100 characters.")
    if any(UNSTORABLE.search(text) for text in _texts([request_id, options])):
        raise JobRefused("bad_request", "The request contains a character that can't be stored.")
    try:
        with transaction.atomic():
            job = Job.objects.create(
                upload=upload,
                owner_id=upload.owner_id,
                request_id=request_id,
                engine=engine,
                language_code=language_code,
                options=dict(options or {}),
                track=asked_track,
                duration=upload.duration,
            )
    except IntegrityError:
        mine = Job.objects.filter(owner_id=upload.owner_id, request_id=request_id)
        same = mine.first() if request_id is not None else None
        if same is None:  # no earlier request: the recording was deleted since it was read
            raise JobRefused("not_found", "This recording was deleted.") from None
        if same.upload_id != upload.pk:
            raise JobRefused("bad_request", "This request_id was already used for another recording.") from None
        return same, False
    publisher.job_changed(job, "work")
    return job, True


def cancel(job: Job) -> Job:
    """Cancel a queued or running job, and keep its finals. Returns the new row. Raises `JobRefused` if it has ended."""
    if not Job.objects.filter(pk=job.pk).cancel():
        raise _refused(job, "This job has already finished.")
    return _publish_change(job, "stop")


def retry(job: Job) -> Job:
    """Queue a failed or cancelled job again; it resumes after its last final. Raises `JobRefused` for any other job."""
    if not Job.objects.filter(pk=job.pk).retry():
        raise _refused(job, "Only failed or cancelled jobs can be resumed, unless they would fail again.")
    return _publish_change(job, "work")


def delete(job: Job) -> None:
    """Delete a job and its transcript, even while it runs; its worker and viewers are notified."""
    with transaction.atomic():
        mine = Job.objects.filter(pk=job.pk)
        mine.fence()  # its worker must not store another final before the row is deleted
        mine.delete()
        deleted = publisher.envelope(job.pk, job.attempt + 1, job.segment_count, events.job_deleted())
        publisher.send_after_commit(publisher.feed_group(job.pk), deleted)
        publisher.notify_workers("stop", job.pk)


def delete_upload(upload: Upload) -> None:
    """Delete a recording with its jobs and their transcripts, even while they run."""
    with transaction.atomic():
        # Lock the row: a concurrent `start` waits for this transaction and is then refused.
        Upload.objects.select_for_update().filter(pk=upload.pk).values_list("pk").first()
        for job in upload.jobs.all():
            delete(job)
        recordings.delete(upload)


def _texts(value: object) -> Iterator[str]:
    """Yield all strings in a JSON value, including the keys of objects."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts([*value.keys(), *value.values()])
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)


def _publish_change(job: Job, about: str) -> Job:
    """Read a job again after a transition, and notify its viewers and the workers."""
    try:
        job.refresh_from_db()
    except Job.DoesNotExist:
        raise JobRefused("not_found", DELETED) from None
    publisher.job_changed(job, about)
    return job


def _refused(job: Job, reason: str) -> JobRefused:
    """Return the error for a transition that changed no row: the job was deleted, or its status does not allow it."""
    if not Job.objects.filter(pk=job.pk).exists():
        return JobRefused("not_found", DELETED)
    return JobRefused("conflict", reason)


def runs_alone(job: Job) -> bool:
    """Return whether a claimed job must be the only one of its worker: the loss of one more worker would fail it.

    A worker that crashes counts as lost for all its jobs. Without this rule, a job that started five times beside a
    crashing one would fail too.
    """
    return job.lost_count == MOST_LOSSES - 1


def requeue_jobs_of(workers: list[str]) -> int:
    """Requeue the jobs of dead workers, and count one lost worker more for each job. Returns the number of jobs."""
    held = Job.objects.filter(status=Status.RUNNING, worker__in=workers)
    return held.update(lost_count=F("lost_count") + 1, **requeued(timezone.now()))


def extend_lease(job_id: uuid.UUID, attempt: int, position: float) -> None:
    """Extend the lease of a job, and store its position (seconds of audio). Raises `LostClaim`."""
    if not Job.objects.filter(pk=job_id).extend_lease(attempt, settings.TRANSCRIBE_LEASE_SECONDS, position):
        raise LostClaim


def store_final(job_id: uuid.UUID, attempt: int, seq: int, result: Result, position: float) -> Segment:
    """Commit a final as number `seq` of its job. Raises `LostClaim`; nothing is stored then.

    Idempotent: a second call with the same final returns the stored one. A connection may break after the commit,
    before the worker learns of it, and the worker then repeats the call.
    """
    with transaction.atomic():
        # One update checks the fence, counts the final, and locks the row.
        held = Job.objects.filter(pk=job_id, segment_count=seq - 1).held(attempt)
        changes = {
            "segment_count": seq,
            "word_count": F("word_count") + len(result.text.split()),
            "position": position,
            "resume_time": Greatest("resume_time", Value(result.next_time)),
            "postponed_count": 0,
            "lost_count": 0,
        }
        segment = Segment.of(job_id, seq, result)
        if not held.update(**changes):
            # No row matched: the worker has lost the job, or an earlier call has stored this final.
            same = {"seq": seq, "text": segment.text, "start_time": segment.start_time, "end_time": segment.end_time}
            job = Job.objects.filter(pk=job_id, segment_count=seq).held(attempt)
            stored = Segment.objects.filter(job__in=job, **same).first()
            if stored is None:
                raise LostClaim
            return stored
        segment.save(force_insert=True)
    return segment


def remaining(job: Job) -> Request:
    """Return the request for an engine: the recording after the finals of earlier attempts. Two queries."""
    slots = job.segments.order_by().values_list("slot").annotate(Max("end_time"))
    speakers = job.segments.exclude(speaker="").order_by().values_list("speaker").annotate(first=Min("seq"))
    return Request(
        job.language_code,
        job.options,
        start_time=job.resume_time,
        ended=dict(slots),
        speakers=tuple(label for label, _ in speakers.order_by("first")),
        track=tracks.as_json(job.track),
    )


def set_duration(job: Job, duration: float) -> None:
    """Correct the duration of a job after the whole track was decoded. Raises `LostClaim`.

    If the job transcribes the recording's chosen track, corrects the recording's duration too. A job for another track
    does not, because that track may have another length.
    """
    if not Job.objects.filter(pk=job.pk).held(job.attempt).update(duration=duration):
        raise LostClaim
    if job.track in ("", str(job.upload.track)):
        Upload.objects.filter(pk=job.upload_id).update(duration=duration)


def finish(job_id: uuid.UUID, attempt: int, status: Status, failure_reason: str = "", **changes: Any) -> None:
    """End a job with a status, and notify its viewers. `changes` are further fields. Raises `LostClaim`."""
    if not Job.objects.filter(pk=job_id).finish(attempt, status, failure_reason, **changes):
        raise LostClaim
    publish_status(job_id)


def publish_status(job_id: uuid.UUID, about: str = "") -> None:
    """Send the stored status of a job to its viewers, and `about` to the workers. Does nothing if it was deleted."""
    for job in Job.objects.filter(pk=job_id):
        publisher.job_changed(job, about)


def postpone(job_id: uuid.UUID, attempt: int, reason: str, *, is_for_room: bool = True) -> None:
    """Return a job to the queue with a backoff, or fail it after too many times in a row. Raises `LostClaim`.

    `is_for_room`: the engine has no room, so later jobs for it wait too. Otherwise the storage is unavailable.
    """
    count = Job.objects.filter(pk=job_id).values_list("postponed_count", flat=True).first() or 0
    if count >= (MOST_WAITS_FOR_ROOM if is_for_room else MOST_WAITS_FOR_STORAGE):
        finish(job_id, attempt, Status.FAILED, f"{reason} {TOO_LONG}")
        return
    pause = pause_seconds(count, FIRST_PAUSE_SECONDS)
    if not Job.objects.filter(pk=job_id).postpone(attempt, reason, pause, is_for_room=is_for_room):
        raise LostClaim
    publish_status(job_id)


def hand_back(job_id: uuid.UUID, attempt: int) -> list[tuple[str, dict[str, Any]]]:
    """Return a job to the queue at once, for another worker. Returns the messages to send, each with its group.

    Unlike the other functions it does not send them: a stopping worker sends those of all jobs together. Returns an
    empty list if the worker no longer holds the job.
    """
    if not Job.objects.filter(pk=job_id).hand_back(attempt):
        return []
    return [news for job in Job.objects.filter(pk=job_id) for news in publisher.changes(job, "work")]
