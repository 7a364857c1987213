"""The status of a job and its transitions: methods of the job's query set, each one conditional UPDATE.

A transition returns the number of rows that it changed. If two race, one changes the row and the other returns 0.
`attempt` is a fencing token: every transition that takes a job from its worker increments it, and every write of a
worker is conditional on the attempt that the worker claimed. `jobs/lifecycle.py` calls the transitions.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models import Case, ExpressionWrapper, F, Q, Value, When
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce
from django.utils import timezone

from streaming.results import storable

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

    from streaming.models import Job  # noqa: F401 named in a type


class Status(models.TextChoices):
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Transcribing"
    COMPLETED = "completed", "Done"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


ACTIVE = (Status.QUEUED, Status.RUNNING)
RETRYABLE = (Status.FAILED, Status.CANCELLED)


def is_free(now: datetime) -> Q:
    """Select the jobs that a worker may claim: queued without a pending backoff, or running with an expired lease."""
    waits_no_more = Q(claimable_at=None) | Q(claimable_at__lte=now)
    return (Q(status=Status.QUEUED) & waits_no_more) | Q(status=Status.RUNNING, lease_expires_at__lt=now)


def is_held(now: datetime) -> Q:
    """Select the running jobs with a valid lease."""
    return Q(status=Status.RUNNING, lease_expires_at__gte=now)


def is_waiting_for_room(now: datetime) -> Q:
    """Select the queued jobs that are backing off because their engine had no room."""
    return Q(status=Status.QUEUED, claimable_at__gt=now, is_waiting_for_room=True)


def time_since_start(until: Combinable) -> Coalesce:
    """Return the SQL expression for the duration of an attempt until a time; zero for a job that was never claimed."""
    return Coalesce(ExpressionWrapper(until - F("started_at"), models.DurationField()), timedelta())


# The field changes that take a job from its worker.
RELEASED = {"attempt": F("attempt") + 1, "worker": "", "lease_expires_at": None}


def requeued(at: datetime) -> dict[str, Any]:
    """Return the field changes that return a running job to the queue at that time. Adds up its processing time."""
    now = Value(timezone.now(), models.DateTimeField())
    worked = F("worked") + time_since_start(now)
    return RELEASED | {"status": Status.QUEUED, "queued_at": at, "worked": worked, "started_at": None}


class JobQuerySet(models.QuerySet["Job"]):
    """Jobs, with their access rule and their transitions."""

    def visible_to(self, user: "User | AnonymousUser") -> "JobQuerySet":
        """Return the jobs that this person may see: their own; all if they are staff with `streaming.view_job`."""
        if user.is_staff and user.has_perm("streaming.view_job"):
            return self
        return self.filter(owner_id=user.pk)

    def best_first(self) -> "JobQuerySet":
        """Order jobs by relevance for a reader: running, then completed, then others; newest first within each."""
        rank = Case(When(status=Status.RUNNING, then=0), When(status=Status.COMPLETED, then=1), default=2)
        return self.order_by(rank, "-created_at")

    def claimable(self) -> "JobQuerySet":
        """Return the jobs that a worker may claim, oldest first."""
        return self.filter(is_free(timezone.now()), status__in=ACTIVE).order_by("created_at", "id")

    def held(self, attempt: int) -> "JobQuerySet":
        """Return the jobs that are still held by the worker that claimed `attempt`."""
        return self.filter(status=Status.RUNNING, attempt=attempt)

    def fence(self) -> int:
        """Take jobs from their workers, in any status."""
        return self.update(**RELEASED)

    def cancel(self) -> int:
        """queued, running → cancelled. The next write of its worker matches no row, which ends the attempt."""
        return self.filter(status__in=ACTIVE).update(
            **RELEASED,
            status=Status.CANCELLED,
            claimable_at=None,
            failure_reason="",
            finished_at=timezone.now(),
        )

    def retry(self) -> int:
        """failed, cancelled → queued. Finals stay: the next attempt resumes after the last of them."""
        return self.filter(status__in=RETRYABLE, is_final=False).update(
            status=Status.QUEUED,
            failure_reason="",
            finished_at=None,
            started_at=None,
            claimable_at=None,
            queued_at=timezone.now(),
            postponed_count=0,
            lost_count=0,
            worked=F("worked") + time_since_start(F("finished_at")),
        )

    def hand_back(self, attempt: int) -> int:
        """running → queued at once, by a worker that holds the job and is stopping."""
        return self.held(attempt).update(**requeued(timezone.now()))

    def postpone(self, attempt: int, reason: str, seconds: float, *, is_for_room: bool) -> int:
        """running → queued with a backoff of `seconds`, by a worker that holds the job and can't run it now."""
        count = F("postponed_count") + 1
        return self._wait(attempt, reason, seconds, postponed_count=count, is_waiting_for_room=is_for_room)

    def preempt(self, attempt: int, reason: str, seconds: float) -> int:
        """running → queued with a backoff of `seconds`, so that another person's job is claimed first."""
        return self._wait(attempt, reason, seconds, preempted_at=timezone.now(), is_waiting_for_room=False)

    def _wait(self, attempt: int, reason: str, seconds: float, **changes: Any) -> int:
        until = timezone.now() + timedelta(seconds=seconds)
        return self.held(attempt).update(
            **requeued(until), failure_reason=storable(reason), claimable_at=until, **changes
        )

    def finish(self, attempt: int, status: Status, failure_reason: str = "", **changes: Any) -> int:
        """running → completed or failed, by the worker that holds the job. `changes` are further fields."""
        return self.held(attempt).update(
            status=status,
            failure_reason=storable(failure_reason),
            worker="",
            lease_expires_at=None,
            finished_at=timezone.now(),
            **changes,
        )

    def extend_lease(self, attempt: int, lease_seconds: float, position: float) -> int:
        """Extend the lease of the worker that holds the job, and store its position (seconds of audio)."""
        return self.held(attempt).update(
            lease_expires_at=timezone.now() + timedelta(seconds=lease_seconds), position=position
        )
