"""Job and Segment: one attempt to transcribe one upload, and its transcript."""

import uuid
from datetime import timedelta

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from streaming.results import Result, storable
from streaming.transitions import ACTIVE, RETRYABLE, JobQuerySet, Status
from uploads.models import Upload

__all__ = ["ACTIVE", "RETRYABLE", "Job", "JobQuerySet", "Segment", "Status"]


class Job(models.Model):
    """One attempt to transcribe one upload. `position` and `duration` are seconds of audio."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    upload = models.ForeignKey(Upload, on_delete=models.CASCADE, related_name="jobs")
    # The same person as the upload's; here too, so that a person's history is one index and no join. The compound index
    # below begins with the owner.
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="jobs", db_index=False)
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
    # How many workers in a row died with it, or did not extend its lease, without a final.
    lost_count = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    is_waiting_for_room = models.BooleanField(default=False, db_default=False, editable=False)
    # When it last entered the queue; null: when it was created.
    queued_at = models.DateTimeField(null=True, blank=True, editable=False)
    # When it last made way for another person's job.
    preempted_at = models.DateTimeField(null=True, blank=True, editable=False)
    is_final = models.BooleanField(
        default=False, db_default=False, editable=False, help_text="A failure that would come again."
    )
    worked = models.DurationField(
        default=timedelta, db_default=timedelta(), editable=False, help_text="Time of the attempts before this one."
    )
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
        if self.status == Status.RUNNING:
            changes["lost_count"] = self.lost_count + 1
        if self.started_at is not None:  # taken over: its worker may have worked until the end of the lease
            changes["worked"] = self.worked + (min(now, self.lease_expires_at or now) - self.started_at)
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
        return self.status in RETRYABLE and not self.is_final

    @property
    def took(self) -> timedelta | None:
        """The processing time of a job that has ended: all its attempts, without the waits between them."""
        if self.finished_at is None:
            return None
        last = timedelta() if self.started_at is None else self.finished_at - self.started_at
        return self.worked + last or None


class Segment(models.Model):
    """A stored final. `seq` counts from 1 in order of arrival; `words` are the objects of the protocol."""

    # The unique constraint has an index that begins with the job.
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="segments", db_index=False)
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
