"""The life of a job: start, cancel, retry, delete for people; store, finish for workers, which get it from the queue.

All of it is synchronous database work, each step one short transaction; what it means for viewers and runners
is sent after the commit.
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

FIRST_PAUSE_SECONDS = 1.0  # of a postponed job
# In a row, up to half a minute each: a day, because a full engine is busy with other jobs; and an hour.
MOST_WAITS_FOR_ROOM, MOST_WAITS_FOR_STORAGE = 2880, 120
# Workers in a row that a job may cost without a final: a recording that crashes its worker must not do so for ever.
MOST_LOSSES = 5
LOST = (
    f"The process that transcribed this recording stopped unexpectedly {MOST_LOSSES} times at the same place. "
    "Resume to try again, or try another engine."
)


class JobRefused(Exception):
    """What was asked for cannot be done; the text says why and what to do, `code` is for programs."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class LostClaim(Exception):
    """The job is no longer this worker's: it was cancelled, deleted, or taken over after its lease ran out."""


def start(
    upload: Upload,
    *,
    engine: str = "",
    language_code: str = "",
    options: Mapping[str, Any] | None = None,
    track: object = None,
    request_id: str | None = None,
) -> tuple[Job, bool]:
    """Return a new job for an upload and True; or, where its owner has used `request_id` before, that job and False.

    `track` is an index among the audio tracks, or `all`; without it the recording's chosen track is taken.
    Raises `JobRefused` for an engine that is unknown or not set up, for an unknown language, for options that the
    engine does not take and for a track that isn't there or can't be decoded.
    """
    engine = engine or settings.TRANSCRIBE_DEFAULT_ENGINE
    try:
        chosen = engine_class(engine)
        if missing := chosen.missing():
            raise EngineError(missing, permanent=True)
        language_code = language_code or chosen.default_language(options or {})
        # Stored even when the person chose none: a retry must not take another track.
        asked_track = tracks.parse(track)
        tracks.check(upload.tracks, asked_track)
        asked_track = tracks.resolved(upload.tracks, asked_track, upload.track)
        chosen.check(language_code, options or {}, upload.audio_of(asked_track)[1])
    except (EngineError, tracks.UnknownTrack) as error:
        raise JobRefused("bad_request", str(error)) from error
    if request_id is not None and not 0 < len(request_id) <= 100:
        raise JobRefused("bad_request", "A request_id has 1 to 100 characters.")
    if any(UNSTORABLE.search(text) for text in _texts([request_id, options])):
        raise JobRefused("bad_request", "There is a character in this request that can't be stored.")
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
        if same is None:  # not the same request: the upload was deleted in this moment
            raise JobRefused("not_found", "This recording is no longer there.") from None
        if same.upload_id != upload.pk:
            raise JobRefused("bad_request", "This request_id was used for another recording.") from None
        return same, False
    publisher.job_changed(job, "work")
    return job, True


def cancel(job: Job) -> Job:
    """Cancel a job that waits or runs; what was final stays. Raises `JobRefused` if it has ended."""
    if not Job.objects.filter(pk=job.pk).cancel():
        raise _refused(job, "cancelled", "There is nothing left to cancel.")
    return _publish_change(job, "stop")


def retry(job: Job) -> Job:
    """Queue a failed or cancelled job again: it goes on after its last final. Raises `JobRefused` otherwise."""
    if not Job.objects.filter(pk=job.pk).retry():
        raise _refused(job, "resumed", "Only failed or cancelled jobs can be resumed, unless they would fail again.")
    return _publish_change(job, "work")


def delete(job: Job) -> None:
    """Delete a job and its transcript, whatever it is doing."""
    with transaction.atomic():
        mine = Job.objects.filter(pk=job.pk)
        mine.fence()  # no final is stored while its job is being deleted
        mine.delete()
        gone = publisher.envelope(job.pk, job.attempt + 1, job.segment_count, events.job_deleted())
        publisher.send_after_commit(publisher.feed_group(job.pk), gone)
        publisher.notify_workers("stop", job.pk)


def delete_upload(upload: Upload) -> None:
    """Delete a recording with its jobs and their transcripts, whatever they are doing."""
    with transaction.atomic():
        # Whoever starts a job for it in this moment waits, and then finds it gone.
        Upload.objects.select_for_update().filter(pk=upload.pk).values_list("pk").first()
        for job in upload.jobs.all():
            delete(job)
        recordings.delete(upload)


def _texts(value: object) -> Iterator[str]:
    """Yield the texts in a JSON value, names of members too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts([*value.keys(), *value.values()])
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)


def _publish_change(job: Job, about: str) -> Job:
    """Read a job again after a transition, and tell who must know."""
    try:
        job.refresh_from_db()
    except Job.DoesNotExist:
        raise _refused(job, "changed", "") from None
    publisher.job_changed(job, about)
    return job


def _refused(job: Job, what: str, why: str) -> JobRefused:
    current = Job.objects.filter(pk=job.pk).first()
    if current is None:
        return JobRefused("not_found", "This job was deleted.")
    return JobRefused("conflict", f"This job is {current.status} and can't be {what}. {why}".strip())


def requeue_jobs_of(workers: list[str]) -> int:
    """Put the jobs of workers that are known to be dead back into the queue; return how many there were."""
    held = Job.objects.filter(status=Status.RUNNING, worker__in=workers)
    return held.update(lost_count=F("lost_count") + 1, **requeued(timezone.now()))


def extend_lease(job_id: uuid.UUID, attempt: int, position: float) -> None:
    """Give a sign of life. Raises `LostClaim`."""
    if not Job.objects.filter(pk=job_id).extend_lease(attempt, settings.TRANSCRIBE_LEASE_SECONDS, position):
        raise LostClaim


def store_final(job_id: uuid.UUID, attempt: int, seq: int, result: Result, position: float) -> Segment:
    """Commit a final as number `seq` of its job. Raises `LostClaim`, and then nothing is stored.

    Done again with the same final, it returns what was stored: a connection may die after the commit, before we hear.
    """
    with transaction.atomic():
        # The update is fence, counter and row lock in one.
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
            said = {"seq": seq, "text": segment.text, "start_time": segment.start_time, "end_time": segment.end_time}
            job = Job.objects.filter(pk=job_id, segment_count=seq).held(attempt)
            stored = Segment.objects.filter(job__in=job, **said).first()
            if stored is None:
                raise LostClaim
            return stored
        segment.save(force_insert=True)
    return segment


def remaining(job: Job) -> Request:
    """Return what an engine is to be asked for: what no earlier attempt at this job has stored."""
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
    """Correct the length of a job after all of it was decoded. Raises `LostClaim`.

    Of its recording too, if the job's track is the chosen one: another track may be shorter.
    """
    if not Job.objects.filter(pk=job.pk).held(job.attempt).update(duration=duration):
        raise LostClaim
    if job.track in ("", str(job.upload.track)):
        Upload.objects.filter(pk=job.upload_id).update(duration=duration)


def finish(job_id: uuid.UUID, attempt: int, status: Status, failure_reason: str = "", **changes: Any) -> None:
    """End a job. Raises `LostClaim`."""
    if not Job.objects.filter(pk=job_id).finish(attempt, status, failure_reason, **changes):
        raise LostClaim
    publish_status(job_id)


def publish_status(job_id: uuid.UUID, about: str = "") -> None:
    """Tell viewers and runners of a job what the database has of it, unless it was deleted in this moment."""
    for job in Job.objects.filter(pk=job_id):
        publisher.job_changed(job, about)


def postpone(job_id: uuid.UUID, attempt: int, reason: str, *, is_for_room: bool = True) -> None:
    """Put a job back into the queue, each time for longer, and fail it after too many times in a row.

    `is_for_room`: its engine has no room, and so later jobs of the engine wait too. Otherwise the storage is away.
    Raises `LostClaim`.
    """
    count = Job.objects.filter(pk=job_id).values_list("postponed_count", flat=True).first() or 0
    if count >= (MOST_WAITS_FOR_ROOM if is_for_room else MOST_WAITS_FOR_STORAGE):
        finish(job_id, attempt, Status.FAILED, f"{reason} It has waited too long. Resume to try again.")
        return
    pause = pause_seconds(count, FIRST_PAUSE_SECONDS)
    if not Job.objects.filter(pk=job_id).postpone(attempt, reason, pause, is_for_room=is_for_room):
        raise LostClaim
    publish_status(job_id)


def hand_back(job_id: uuid.UUID, attempt: int) -> list[tuple[str, dict[str, Any]]]:
    """Let another worker have a job that this one won't finish; return who is to be told, and what.

    Nothing happens, and nobody is told, where the job is already lost.
    """
    if not Job.objects.filter(pk=job_id).hand_back(attempt):
        return []
    return [news for job in Job.objects.filter(pk=job_id) for news in publisher.changes(job, "work")]
