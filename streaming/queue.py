"""The queue: whose job is next, and which turn each waiting job has.

Who has fewest running jobs is next, and of theirs the oldest: one person's hundred recordings do not starve
another's one. Asked by `jobs.claim_next`, by pages and by feeds.
"""

import uuid
from collections import Counter

from django.conf import settings
from django.db.models import Count, Min
from django.utils import timezone

from streaming.engines import engine_classes
from streaming.models import Job, JobQuerySet, Status


def running() -> JobQuerySet:
    """Return the jobs that are in the hands of a worker which still gives signs of life."""
    return Job.objects.filter(status=Status.RUNNING, lease_expires_at__gte=timezone.now()).order_by()


def running_of(owner_id: int) -> int:
    return running().filter(owner_id=owner_id).count()


def free() -> JobQuerySet:
    """Return the jobs that a worker may take now: not those on engines that have no room. Oldest first."""
    limits = {engine.name: engine.most_jobs() for engine in engine_classes()}
    limited = [name for name, most in limits.items() if most is not None]
    counts = dict(running().filter(engine__in=limited).values_list("engine").annotate(Count("pk"))) if limited else {}
    full = [name for name in limited if counts.get(name, 0) >= (limits[name] or 0)]
    jobs = Job.objects.claimable().exclude(engine__in=full)
    # Who waits for room is not passed by who comes later and asks at once.
    waiting = Job.objects.filter(status=Status.QUEUED, claimable_at__gt=timezone.now()).order_by()
    for engine, oldest in waiting.values_list("engine").annotate(Min("created_at")):
        jobs = jobs.exclude(engine=engine, created_at__gt=oldest)
    return jobs


def owners_in_turn(free: JobQuerySet) -> list[int]:
    """Return who has a job among these and may have one more running, in the order of their turns."""
    oldest = dict(free.order_by().values_list("owner").annotate(Min("created_at")))
    if not oldest:
        return []
    busy = dict(running().values_list("owner").annotate(Count("pk")))
    most = settings.TRANSCRIBE_MAX_JOBS_A_PERSON
    waiting = [owner for owner in oldest if not most or busy.get(owner, 0) < most]
    return sorted(waiting, key=lambda owner: (busy.get(owner, 0), oldest[owner]))


def places() -> dict[uuid.UUID, int]:
    """Return the turn of each waiting job, 1 for the next, as if no job ended before. Two queries."""
    taken = Counter(dict(running().values_list("owner").annotate(Count("pk"))))
    turns = []
    waiting = Job.objects.filter(status=Status.QUEUED).order_by("created_at", "id").values_list("pk", "owner")
    for index, (pk, owner) in enumerate(waiting):
        taken[owner] += 1
        turns.append((taken[owner], index, pk))
    return {pk: place for place, (_, _, pk) in enumerate(sorted(turns), 1)}
