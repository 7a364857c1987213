"""Preemption: if one person's jobs hold all slots of a worker and another person's job waits, return one to the queue.

The runner chooses the longest-running job whose engine is preemptible. Its attempt returns it to the queue at its next
final, so no word is lost or repeated. The attempt checks again at that final whether the preemption is still due,
because another worker may have claimed the waiting job meanwhile.
"""

from collections.abc import Collection
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from streaming.db import try_lock_until_commit
from streaming.jobs import queue
from streaming.jobs.lifecycle import LostClaim, publish_status
from streaming.models import Job

WAIT_SECONDS = 30.0  # how long another person's job must have waited
INTERVAL_SECONDS = 300.0  # between two preemptions of one person's jobs: resuming decodes the recording again
# How long the preempted job can't be claimed. Without it, the older, preempted job would be claimed before the waiting
# one.
PAUSE_SECONDS = 5.0
REASON = "Paused so that another person's recording can start. It resumes automatically after the last line."


def sole_owner(running: Collection[Job]) -> int | None:
    """Return the id of the owner of all these jobs, or None if there are several owners or no jobs."""
    owners = {job.owner_id for job in running}
    return owners.pop() if len(owners) == 1 else None


def is_due(owner_id: int) -> bool:
    """Return whether to preempt a job of this person. The caller knows that they hold all slots. Three queries."""
    last = timezone.now() - timedelta(seconds=INTERVAL_SECONDS)
    if Job.objects.filter(owner_id=owner_id, preempted_at__gt=last).exists():
        return False
    return queue.has_waiting(WAIT_SECONDS, except_of=owner_id)


def preempt(job: Job) -> bool:
    """Return a running job to the queue if that is still due. Returns whether it was. Raises `LostClaim`.

    If several workers do this for one person at the same moment, one of them succeeds.
    """
    with transaction.atomic():
        if not try_lock_until_commit(f"preemptions of {job.owner_id}") or not is_due(job.owner_id):
            return False
        if not Job.objects.filter(pk=job.pk).preempt(job.attempt, REASON, PAUSE_SECONDS):
            raise LostClaim
    publish_status(job.pk, "work")
    return True
