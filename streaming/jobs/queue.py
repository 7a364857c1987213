"""The queue: the order in which workers claim jobs, the claims, and the queue position of each waiting job.

The owner with the fewest running jobs goes first; within an owner, the oldest job first. So one person's hundred
recordings do not delay another person's single one. A claim never waits for a lock: it skips jobs and owners that
another worker is claiming. Workers claim jobs; pages and feeds read positions.
"""

import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from heapq import heappop, heapreplace
from typing import NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Min, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from streaming.db import try_lock_until_commit
from streaming.engines.registry import engine_classes
from streaming.jobs import lifecycle
from streaming.models import ACTIVE, Job, JobQuerySet, Status
from streaming.transitions import is_free, is_held, is_waiting_for_room


def running() -> JobQuerySet:
    """Return the running jobs whose worker still extends the lease."""
    return Job.objects.filter(is_held(timezone.now())).order_by()


class Openings(NamedTuple):
    """The jobs that may be claimed now. `openings` creates it."""

    jobs: JobQuerySet  # not evaluated; includes jobs of owners at their limit, so filter by `since`
    since: dict[int, datetime]  # by owner within the limits: when the oldest of their claimable jobs was created
    held_counts: Counter[int]  # by owner: the number of running jobs


def openings() -> Openings:
    """Return the jobs that may be claimed now, within the limits of engines and owners. One query."""
    now = timezone.now()
    groups = (
        Job.objects.filter(status__in=ACTIVE)
        .order_by()
        .values_list("owner", "engine")
        .annotate(
            held_count=Count("pk", filter=is_held(now)),
            free_since=Min("created_at", filter=is_free(now)),
            no_room_since=Min("created_at", filter=is_waiting_for_room(now)),
        )
    )
    by_owner: Counter[int] = Counter()
    by_engine: Counter[str] = Counter()
    oldest: dict[tuple[int, str], datetime] = {}
    bounds: dict[str, datetime] = {}  # by engine: later jobs must not overtake a job that waits for room
    for owner, engine, held_count, free_since, no_room_since in groups:
        by_owner[owner] += held_count
        by_engine[engine] += held_count
        if free_since is not None:
            oldest[owner, engine] = free_since
        if no_room_since is not None:
            bounds[engine] = min(no_room_since, bounds.get(engine, no_room_since))
    if not oldest:
        return Openings(Job.objects.none(), {}, by_owner)
    full = {name for name, most in limits().items() if by_engine[name] >= most}
    most = most_of_a_person()
    first: dict[int, datetime] = {}
    for (owner, engine), since in oldest.items():
        if engine not in full and since <= bounds.get(engine, since) and (most is None or by_owner[owner] < most):
            first[owner] = min(since, first.get(owner, since))
    free = Job.objects.claimable().exclude(engine__in=full)
    for engine, bound in bounds.items():
        free = free.exclude(engine=engine, created_at__gt=bound)
    return Openings(free, first, by_owner)


def has_waiting(seconds: float, *, except_of: int) -> bool:
    """Return whether a claimable job of any other owner has waited for at least `seconds`. Two queries.

    Ignores jobs that must run alone: one more free slot does not let a worker claim them.
    """
    open_now = openings()
    others = open_now.jobs.filter(owner_id__in=open_now.since.keys() - {except_of}).exclude(runs_alone())
    # A running job with an expired lease has waited since the lease expired.
    waits_since = Coalesce("lease_expires_at", "queued_at", "created_at")
    until = timezone.now() - timedelta(seconds=seconds)
    return others.annotate(waits_since=waits_since).filter(waits_since__lte=until).exists()


def runs_alone() -> Q:
    """Select the claimable jobs that `lifecycle.runs_alone` will return True for after the claim."""
    most = lifecycle.MOST_LOSSES
    # The claim of a running job, whose lease has expired, counts one more lost worker.
    return Q(status=Status.QUEUED, lost_count=most - 1) | Q(status=Status.RUNNING, lost_count=most - 2)


def claims(worker: str, *, is_idle: bool = True) -> Iterator[Job]:
    """Claim one job per iteration, with its `upload` loaded, until there is none. Run each iteration in a thread.

    The order is computed once per call, so do not iterate past the worker's free slots. An owner for whom another
    worker is claiming is skipped until the worker's next poll, a second later. The attempt notifies viewers.
    `is_idle`: the worker runs no job, so it may claim one that must run alone. That claim is the last one then.
    """
    free, first, running_counts = openings()
    if not is_idle:
        free = free.exclude(runs_alone())
    people = sorted((running_counts[owner], since, owner) for owner, since in first.items())  # a sorted list is a heap
    while people:
        count, since, owner = people[0]
        job = _claim_of(free.filter(owner_id=owner), worker)
        if job is None:
            heappop(people)
        else:
            heapreplace(people, (count + 1, since, owner))
            yield job
            if lifecycle.runs_alone(job):
                return
            free = free.exclude(runs_alone())


def claim_next(worker: str) -> Job | None:
    """Claim the next job; return None if there is none to claim now."""
    return next(claims(worker), None)


def _claim_of(free: JobQuerySet, worker: str) -> Job | None:
    """Claim the first of these jobs; return None if there is none or another worker is claiming it."""
    if connection.features.has_select_for_update_skip_locked:
        free = free.select_for_update(skip_locked=True, of=("self",))
    with transaction.atomic():
        job = free.select_related("upload").defer("upload__peaks").first()
        if job is None or not job.claim(worker, settings.TRANSCRIBE_LEASE_SECONDS):
            return None
        if not _is_surely_within_limits(job):
            transaction.set_rollback(True)
            return None
    return job


def _is_surely_within_limits(job: Job) -> bool:
    """Return whether a job that was just claimed exceeds no limit. Call it before the claim's commit.

    The locks serialise claims for the same engine or owner, so that each counts the jobs claimed before it. False if
    another worker holds a lock: do not block on it, because a frozen holder would stall all claims.
    """
    for name, value, most in (
        ("engine", job.engine, limits().get(job.engine)),
        ("owner", job.owner_id, most_of_a_person()),
    ):
        if most is None:
            continue
        if not try_lock_until_commit(f"claims of {name} {value}"):
            return False
        if running().filter(**{name: value}).count() > most:
            return False
    return True


def most_of_a_person() -> int | None:
    """Return how many jobs of one owner may run at once; None: any number."""
    return settings.TRANSCRIBE_MAX_JOBS_A_PERSON or None


def limits() -> dict[str, int]:
    """Return how many jobs may run at once on each engine that has a limit."""
    counts = {engine.name: engine.most_jobs() for engine in engine_classes()}
    return {name: most for name, most in counts.items() if most is not None}


def places() -> dict[uuid.UUID, int]:
    """Return the position of each queued job, 1 for the next, if no running job ends first. Two queries."""
    # Simulate the claims: the n-th job of an owner, running ones included, comes after all (n-1)-th jobs.
    counts = Counter(dict(running().values_list("owner").annotate(Count("pk"))))
    turns = []
    waiting = Job.objects.filter(status=Status.QUEUED).order_by("created_at", "id").values_list("pk", "owner")
    for index, (pk, owner) in enumerate(waiting):
        counts[owner] += 1
        turns.append((counts[owner], index, pk))
    return {pk: place for place, (_, _, pk) in enumerate(sorted(turns), 1)}
