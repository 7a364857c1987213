"""The queue: whose job is next, and which turn each waiting job has.

Who has fewest running jobs is next, and of theirs the oldest: one person's hundred recordings do not starve
another's one. Asked by `jobs.claim_next`, by pages and by feeds.
"""

import uuid
from collections import Counter
from collections.abc import Iterator

from django.conf import settings
from django.db.models import Count, Min
from django.utils import timezone

from streaming.engines import engine_classes
from streaming.models import Job, JobQuerySet, Status


def running() -> JobQuerySet:
    """Return the jobs that are in the hands of a worker which still gives signs of life."""
    return Job.objects.filter(status=Status.RUNNING, lease_expires_at__gte=timezone.now()).order_by()


def turns() -> Iterator[tuple[int, JobQuerySet]]:
    """Yield whose turn it is, each with the jobs of theirs that a worker may take now, oldest first.

    One query where nobody waits, as nearly always; three where somebody does.
    """
    oldest = dict(Job.objects.claimable().order_by().values_list("owner").annotate(Min("created_at")))
    if not oldest:
        return
    by_owner: Counter[int] = Counter()
    by_engine: Counter[str] = Counter()
    for owner, engine, count in running().values_list("owner", "engine").annotate(Count("pk")):
        by_owner[owner] += count
        by_engine[engine] += count
    most = settings.TRANSCRIBE_MAX_JOBS_A_PERSON
    people = [owner for owner in oldest if not most or by_owner[owner] < most]
    free = claimable_now(by_engine)
    for owner in sorted(people, key=lambda owner: (by_owner[owner], oldest[owner])):
        yield owner, free.filter(owner_id=owner)


def claimable_now(by_engine: Counter[str]) -> JobQuerySet:
    """Return the claimable jobs on engines that have room, by the numbers of jobs that run there. Oldest first."""
    limits = {engine.name: engine.most_jobs() for engine in engine_classes()}
    full = [name for name, most in limits.items() if most is not None and by_engine[name] >= most]
    jobs = Job.objects.claimable().exclude(engine__in=full)
    # Who waits for room is not passed by who comes later and asks at once.
    waiting = Job.objects.filter(status=Status.QUEUED, claimable_at__gt=timezone.now()).order_by()
    for engine, oldest in waiting.values_list("engine").annotate(Min("created_at")):
        jobs = jobs.exclude(engine=engine, created_at__gt=oldest)
    return jobs


def places() -> dict[uuid.UUID, int]:
    """Return the turn of each waiting job, 1 for the next, as if no job ended before. Two queries."""
    taken = Counter(dict(running().values_list("owner").annotate(Count("pk"))))
    turns = []
    waiting = Job.objects.filter(status=Status.QUEUED).order_by("created_at", "id").values_list("pk", "owner")
    for index, (pk, owner) in enumerate(waiting):
        taken[owner] += 1
        turns.append((taken[owner], index, pk))
    return {pk: place for place, (_, _, pk) in enumerate(sorted(turns), 1)}
