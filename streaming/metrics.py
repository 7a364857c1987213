"""What Prometheus is told: counts of this process, and with one query what all of them have in common.

A site answers with both at /metrics, a worker with its own on a port. `docs/operations.md` says what each means.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.db import Error
from django.db.models import Count, Min, Q
from django.utils import timezone
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streaming.models import ACTIVE, Job, Status

disable_created_metrics()  # a second series for each count, of which nobody asks

PROCESS = CollectorRegistry()
ProcessCollector(registry=PROCESS)

WAIT_SECONDS = (0.1, 0.3, 1, 3, 10, 30, 60, 180, 600, 1800, 3600)

QUEUE_WAIT = Histogram(
    "transcribe_queue_wait_seconds",
    "From the start of a job by a person to its first claim by a worker.",
    ["engine"],
    buckets=WAIT_SECONDS,
    registry=PROCESS,
)
ATTEMPTS_ENDED = Counter(
    "transcribe_attempts_ended",
    "Attempts at jobs that ended here: completed, failed, postponed, handed_back (at a stop), lost (cancelled, deleted "
    "or taken over).",
    ["engine", "outcome"],
    registry=PROCESS,
)
FAILURES = Counter(
    "transcribe_failures",
    "What went wrong and was survived, by where: database, channel_layer, storage, engine, viewer.",
    ["part"],
    registry=PROCESS,
)
EVENTS_PUBLISHED = Counter(
    "transcribe_events_published", "Events of jobs that run here, given to the channel layer.", registry=PROCESS
)
EVENTS_SENT = Counter("transcribe_events_sent", "Messages to viewers.", registry=PROCESS)
STABLE_PREFIXES = Counter(
    "transcribe_stable_prefixes",
    "Finals whose last partial had a stable prefix, by whether the final begins with it: kept or broken.",
    ["engine", "outcome"],
    registry=PROCESS,
)
VIEWERS = Gauge("transcribe_viewers", "Sockets that watch a job here.", registry=PROCESS)

for part in ("database", "channel_layer", "storage", "engine", "viewer"):
    FAILURES.labels(part)  # a count that begins at 0 can be compared with later


@dataclass(eq=False)
class Stream:
    """An engine that transcribes a recording. `transcribed` returns the seconds of audio consumed; None at the end."""

    engine: str
    transcribed: Callable[[], float | None]
    began_at: float = field(default_factory=lambda: time.monotonic())

    @property
    def lag(self) -> float:
        """Seconds behind somebody who listens at the speed at which it was spoken."""
        transcribed = self.transcribed()
        return 0.0 if transcribed is None else max(0.0, time.monotonic() - self.began_at - transcribed)


_streams: set[Stream] = set()


@contextmanager
def stream(engine: str, transcribed: Callable[[], float | None]) -> Iterator[None]:
    """Count a stream for as long as it lasts."""
    running = Stream(engine, transcribed)
    _streams.add(running)
    try:
        yield
    finally:
        _streams.discard(running)


class Streams(Collector):
    def collect(self) -> Iterable[Metric]:
        count = GaugeMetricFamily("transcribe_streams", "Engines that hear a recording here.", labels=["engine"])
        lag = GaugeMetricFamily(
            "transcribe_stream_lag_seconds",
            "How far the slowest stream here is behind real time, in seconds of sound.",
            labels=["engine"],
        )
        lags: dict[str, list[float]] = {}
        for running in tuple(_streams):
            lags.setdefault(running.engine, []).append(running.lag)
        for engine, behind in lags.items():
            count.add_metric([engine], len(behind))
            lag.add_metric([engine], max(behind))
        return count, lag


class Jobs(Collector):
    """The queue, as the database has it: one query, over the index of the jobs that have not ended."""

    def collect(self) -> Iterable[Metric]:
        is_up = GaugeMetricFamily("transcribe_database_up", "Whether the database told the values of the queue.")
        try:
            found = queue()
        except Error:
            is_up.add_metric([], 0)
            return [is_up]  # the rest is still worth having
        is_up.add_metric([], 1)
        jobs = GaugeMetricFamily("transcribe_jobs", "Jobs that wait or run, in all.", labels=["status"])
        for status in ACTIVE:
            jobs.add_metric([status], found[status])
        oldest = GaugeMetricFamily("transcribe_queue_oldest_seconds", "How long the oldest waiting job has waited.")
        oldest.add_metric([], found["oldest_seconds"])
        stalled = GaugeMetricFamily(
            "transcribe_jobs_stalled", "Running jobs whose lease ran out: their worker is dead or frozen."
        )
        stalled.add_metric([], found["stalled"])
        return is_up, jobs, oldest, stalled


def queue() -> dict[str, float]:
    """Return how many jobs wait, run and are stalled, and the age of the oldest that waits (seconds). One query."""
    now, queued = timezone.now(), Q(status=Status.QUEUED)
    found = Job.objects.filter(status__in=ACTIVE).aggregate(
        queued=Count("pk", filter=queued),
        running=Count("pk", filter=Q(status=Status.RUNNING)),
        stalled=Count("pk", filter=Q(status=Status.RUNNING, lease_expires_at__lt=now)),
        oldest=Min("created_at", filter=queued),
    )
    oldest = found.pop("oldest")
    return found | {"oldest_seconds": 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds())}


PROCESS.register(Streams())
_site = CollectorRegistry()
_site.register(Jobs())


def site_metrics() -> bytes:
    """Return all that a web process has to tell, as Prometheus reads it. One query, which may fail."""
    return generate_latest(PROCESS) + generate_latest(_site)
