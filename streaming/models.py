"""Job and Segment: one attempt to transcribe one upload, and its transcript.

The transitions of a job are methods of its query set, each one conditional UPDATE, so that of two that race
one wins and the other is told. `attempt` is the fence: every transition that takes a job away from the worker
that runs it counts it up, and every write of a worker names the attempt that it was given.
"""

import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.db.models import Case, F, Q, When
from django.urls import reverse
from django.utils import timezone

from streaming.transcripts import Result, storable
from uploads.models import Upload

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User


class Status(models.TextChoices):
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


ACTIVE = (Status.QUEUED, Status.RUNNING)
RETRYABLE = (Status.FAILED, Status.CANCELLED)


def is_free(now: datetime) -> Q:
    """Which jobs a worker may take: queued, or running with a lease that ran out."""
    waits_no_more = Q(claimable_at=None) | Q(claimable_at__lte=now)
    return (Q(status=Status.QUEUED) & waits_no_more) | Q(status=Status.RUNNING, lease_expires_at__lt=now)


def is_held(now: datetime) -> Q:
    """Which jobs are in the hands of a worker that still gives signs of life."""
    return Q(status=Status.RUNNING, lease_expires_at__gte=now)


def is_waiting_for_room(now: datetime) -> Q:
    """Which jobs were postponed because their engine had no room, and wait still."""
    return Q(status=Status.QUEUED, claimable_at__gt=now, is_waiting_for_room=True)


class JobQuerySet(models.QuerySet["Job"]):
    def visible_to(self, user: "User | AnonymousUser") -> "JobQuerySet":
        """Return what this person may see: their own, or all with the permission `streaming.view_job` as staff."""
        if user.is_staff and user.has_perm("streaming.view_job"):
            return self
        return self.filter(owner_id=user.pk)

    def best_first(self) -> "JobQuerySet":
        """Order jobs by what a reader wants to open: a running one, else the newest completed, else the newest."""
        rank = Case(When(status=Status.RUNNING, then=0), When(status=Status.COMPLETED, then=1), default=2)
        return self.order_by(rank, "-created_at")

    def claimable(self) -> "JobQuerySet":
        """Return the jobs that a worker may take, oldest first."""
        return self.filter(is_free(timezone.now()), status__in=ACTIVE).order_by("created_at", "id")

    def held(self, attempt: int) -> "JobQuerySet":
        """Return the jobs among these that are still in the hands of the worker that was given `attempt`."""
        return self.filter(status=Status.RUNNING, attempt=attempt)

    def fence(self) -> int:
        """Take jobs from whoever holds them, in any state."""
        return self.update(attempt=F("attempt") + 1, worker="", lease_expires_at=None)

    def cancel(self) -> int:
        """queued, running → cancelled. The worker that runs it finds its attempt gone."""
        return self.filter(status__in=ACTIVE).update(
            status=Status.CANCELLED,
            attempt=F("attempt") + 1,
            worker="",
            lease_expires_at=None,
            claimable_at=None,
            failure_reason="",
            finished_at=timezone.now(),
        )

    def retry(self) -> int:
        """failed, cancelled → queued. Finals stay: the next attempt goes on after the last of them."""
        return self.filter(status__in=RETRYABLE).update(
            status=Status.QUEUED,
            failure_reason="",
            finished_at=None,
            started_at=None,
            claimable_at=None,
            queued_at=timezone.now(),
            postponed_count=0,
        )

    def hand_back(self, attempt: int) -> int:
        """running → queued, by the worker that holds it and won't finish it."""
        return self.held(attempt).update(
            status=Status.QUEUED,
            attempt=F("attempt") + 1,
            worker="",
            lease_expires_at=None,
            queued_at=timezone.now(),
        )

    def postpone(self, attempt: int, reason: str, seconds: float, *, is_for_room: bool) -> int:
        """running → queued, not to be claimed for so long, by the worker that holds it and can't run it now."""
        return self._wait(
            attempt,
            reason,
            seconds,
            started_at=None,
            postponed_count=F("postponed_count") + 1,
            is_waiting_for_room=is_for_room,
        )

    def preempt(self, attempt: int, reason: str, seconds: float) -> int:
        """running → queued, not to be claimed for so long: another person's job has its turn."""
        return self._wait(attempt, reason, seconds, preempted_at=timezone.now(), is_waiting_for_room=False)

    def _wait(self, attempt: int, reason: str, seconds: float, **changes: Any) -> int:
        until = timezone.now() + timedelta(seconds=seconds)
        return self.held(attempt).update(
            status=Status.QUEUED,
            attempt=F("attempt") + 1,
            worker="",
            lease_expires_at=None,
            failure_reason=storable(reason),
            claimable_at=until,
            queued_at=until,
            **changes,
        )

    def finish(self, attempt: int, status: Status, failure_reason: str = "", **changes: Any) -> int:
        """running → completed or failed, by the worker that holds it."""
        return self.held(attempt).update(
            status=status,
            failure_reason=storable(failure_reason),
            worker="",
            lease_expires_at=None,
            finished_at=timezone.now(),
            **changes,
        )

    def extend_lease(self, attempt: int, lease_seconds: float, position: float) -> int:
        """A sign of life of the worker that holds it, with how far it has come (seconds of audio)."""
        return self.held(attempt).update(
            lease_expires_at=timezone.now() + timedelta(seconds=lease_seconds), position=position
        )


class Job(models.Model):
    """One attempt to transcribe one upload. `position` and `duration` are seconds of audio."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    upload = models.ForeignKey(Upload, on_delete=models.CASCADE, related_name="jobs")
    # The same person as the upload's; here too, so that a person's history is one index and no join.
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="jobs")
    request_id = models.CharField(max_length=100, null=True, blank=True, editable=False)  # noqa: DJ001 null is never equal to null
    engine = models.CharField(max_length=32)
    language_code = models.CharField(max_length=32, blank=True)
    options = models.JSONField(default=dict, blank=True)
    track = models.CharField(
        max_length=8,
        default="",
        db_default="",  # as in `Upload.tracks`: for the rolling upgrade
        blank=True,
        help_text="The index of the audio track, or “all”; empty: the only one.",
    )
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    failure_reason = models.TextField(blank=True)
    position = models.FloatField(default=0)
    duration = models.FloatField(default=0)
    segment_count = models.PositiveIntegerField(
        "segments", default=0, help_text="The number of finals, and the seq of the last."
    )
    word_count = models.PositiveIntegerField("words", default=0)
    attempt = models.PositiveIntegerField(default=0, editable=False)
    worker = models.CharField(max_length=200, blank=True, editable=False)
    lease_expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    resume_time = models.FloatField(default=0, editable=False, help_text="Seconds: what comes before it is final.")
    # A postponed job waits until then, each time longer; for room at its engine, or else for the storage.
    claimable_at = models.DateTimeField(null=True, blank=True, editable=False)
    postponed_count = models.PositiveIntegerField(default=0, editable=False)
    is_waiting_for_room = models.BooleanField(default=False, db_default=False, editable=False)
    # When it last entered the queue; null: when it was created.
    queued_at = models.DateTimeField(null=True, blank=True, editable=False)
    # When it last made way for another person's job.
    preempted_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField("created", auto_now_add=True)
    started_at = models.DateTimeField("started", null=True, blank=True)
    finished_at = models.DateTimeField("finished", null=True, blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "id")
        indexes = (
            models.Index(fields=["owner", "-created_at"], name="job_of_owner"),
            models.Index(fields=["-created_at"], name="job_by_age"),
            models.Index(fields=["created_at"], condition=Q(status__in=("queued", "running")), name="job_active"),
        )
        constraints = (models.UniqueConstraint(fields=["owner", "request_id"], name="job_request_id_once_a_person"),)

    def __str__(self) -> str:
        return f"{self.upload.name} ({self.engine})"

    def get_absolute_url(self) -> str:
        return reverse("job", args=[self.pk])

    def claim(self, worker: str, lease_seconds: float) -> bool:
        """queued, or running with an expired lease → running. Returns whether it was taken."""
        now = timezone.now()
        changes = {
            "status": Status.RUNNING,
            "attempt": self.attempt + 1,
            "worker": worker,
            "lease_expires_at": now + timedelta(seconds=lease_seconds),
            "started_at": now,
            "finished_at": None,
            "failure_reason": "",
            "claimable_at": None,
        }
        # It was read, claimable, in the same transaction; nobody has had it since, because each who has counts it up.
        if not Job.objects.filter(pk=self.pk, attempt=self.attempt, status=self.status).update(**changes):
            return False
        for name, value in changes.items():
            setattr(self, name, value)
        return True

    @property
    def is_active(self) -> bool:
        return self.status in ACTIVE

    @property
    def is_retryable(self) -> bool:
        return self.status in RETRYABLE

    @property
    def took(self) -> timedelta | None:
        """The time from the start of the last attempt to its end, or None."""
        if self.started_at is None or self.finished_at is None:
            return None
        return self.finished_at - self.started_at


class Segment(models.Model):
    """A stored final. `seq` counts from 1 in order of arrival; `words` are the objects of the protocol."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="segments")
    seq = models.PositiveIntegerField()
    slot = models.CharField(max_length=16, default="0")
    start_time = models.FloatField()
    end_time = models.FloatField()
    text = models.TextField()
    speaker = models.CharField(max_length=64, blank=True)
    channel = models.CharField(max_length=16, blank=True)
    language_code = models.CharField(max_length=32, blank=True)
    words = models.JSONField(default=list)
    is_provisional = models.BooleanField(
        "provisional", default=False, help_text="The engine ended before it confirmed these words."
    )

    class Meta:
        ordering = ("start_time", "seq")
        constraints = (models.UniqueConstraint(fields=["job", "seq"], name="segment_seq_once_a_job"),)

    def __str__(self) -> str:
        return self.text

    @property
    def voice(self) -> str:
        """Who spoke, or on which channel: “Speaker 2”, “Channel 1”."""
        number = self.channel.removeprefix("ch_")
        return self.speaker or (f"Channel {int(number) + 1}" if number.isdecimal() else self.channel)

    @classmethod
    def of(cls, job_id: uuid.UUID, seq: int, result: Result) -> "Segment":
        """Return a final as number `seq` of a job, not stored."""
        return cls(
            job_id=job_id,
            seq=seq,
            slot=storable(result.slot),
            start_time=result.start_time,
            end_time=result.end_time,
            text=storable(result.text),
            speaker=storable(result.speaker),
            channel=storable(result.channel),
            language_code=storable(result.language_code),
            words=[
                {key: storable(value) if isinstance(value, str) else value for key, value in word.as_dict().items()}
                for word in result.words
            ],
            is_provisional=result.is_provisional,
        )
