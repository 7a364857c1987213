"""The models of jobs and transcripts. A job transcribes one recording; its segments are the stored finals.

`transitions.py` changes the status of jobs.
"""

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
    """A job that transcribes one recording. `position` and `duration` are seconds of audio.

    Workers run a job in one or more attempts, which the field `attempt` numbers.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    upload = models.ForeignKey(Upload, on_delete=models.CASCADE, related_name="jobs")
    # Always the upload's owner. Repeated here so that a person's history needs no join. It needs no index of its own:
    # the compound index below begins with the owner.
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
    # Workers must not claim the job before this time: a backoff after it was postponed or preempted.
    claimable_at = models.DateTimeField(null=True, blank=True, editable=False)
    postponed_count = models.PositiveIntegerField(default=0, editable=False)
    # How many workers in a row died or lost the lease while they ran this job, without a new final.
    lost_count = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    is_waiting_for_room = models.BooleanField(default=False, db_default=False, editable=False)
    # When the job last entered the queue; null: when it was created.
    queued_at = models.DateTimeField(null=True, blank=True, editable=False)
    # When the job was last returned to the queue for another person's job.
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
        """queued, or running with an expired lease → running. Returns False if another worker claimed it first."""
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
        if self.started_at is not None:  # its last worker may have worked until the lease expired
            changes["worked"] = self.worked + (min(now, self.lease_expires_at or now) - self.started_at)
        # The caller read it as claimable. Every claim increments `attempt`, so an equal number means no other claim.
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
        """The processing time of an ended job: the sum of its attempts, without the time in the queue between them."""
        if self.finished_at is None:
            return None
        last = timedelta() if self.started_at is None else self.finished_at - self.started_at
        return self.worked + last or None


class Segment(models.Model):
    """A stored final. `seq` counts from 1 in order of arrival; `words` are objects of the protocol."""

    # Needs no index of its own: the index of the unique constraint begins with the job.
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
        """The label of the speaker, or else of the channel, as in “Speaker 2” or “Channel 1”; empty if unknown."""
        number = self.channel.removeprefix("ch_")
        return self.speaker or (f"Channel {int(number) + 1}" if number.isdecimal() else self.channel)

    @classmethod
    def of(cls, job_id: uuid.UUID, seq: int, result: Result) -> "Segment":
        """Return an unsaved segment: a final as number `seq` of a job."""
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
