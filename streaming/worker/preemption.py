"""Preemption: where one person's jobs hold all slots of a worker, one of them returns to the queue for another's.

The longest-running job whose engine is preemptible returns to the queue at its next final: no word is lost or repeated.
The runner chooses it; the attempt asks again at the final, because another worker may have had room in the meantime.
"""

from collections.abc import Collection
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from streaming.db import try_lock_until_commit
from streaming.jobs import queue
from streaming.jobs.lifecycle import LostClaim, publish_status
from streaming.models import Job

WAIT_SECONDS = 30.0  # that another person's job has been in the queue
INTERVAL_SECONDS = 300.0  # between two preemptions of one person's jobs: resuming costs a decoding of the recording
# The preempted job can't be claimed for so long, or it would be, as the older one, before the job that waits.
PAUSE_SECONDS = 5.0
REASON = "Paused so that another person's recording can start. It resumes automatically after the last line."


def sole_owner(running: Collection[Job]) -> int | None:
    """Return the one person to whom all these jobs belong, or None."""
    owners = {job.owner_id for job in running}
    return owners.pop() if len(owners) == 1 else None


def is_due(owner_id: int) -> bool:
    """Return whether to preempt a job of this person, whose jobs hold all slots of a worker. Three queries."""
    last = timezone.now() - timedelta(seconds=INTERVAL_SECONDS)
    if Job.objects.filter(owner_id=owner_id, preempted_at__gt=last).exists():
        return False
    return queue.has_waiting(WAIT_SECONDS, except_of=owner_id)


def preempt(job: Job) -> bool:
    """Put a running job back into the queue if that is still due. Raises `LostClaim`.

    Of several workers that try this for one person at the same moment, one succeeds.
    """
    with transaction.atomic():
        if not try_lock_until_commit(f"preemptions of {job.owner_id}") or not is_due(job.owner_id):
            return False
        if not Job.objects.filter(pk=job.pk).preempt(job.attempt, REASON, PAUSE_SECONDS):
            raise LostClaim
    publish_status(job.pk, "work")
    return True
