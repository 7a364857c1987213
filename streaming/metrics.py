"""The Prometheus metrics: counters of this process, and the state of the queue, which is the same for all processes.

Web processes serve both at /metrics, workers serve their own counters on a port. `docs/operations.md` explains each.
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

disable_created_metrics()  # we don't use the `_created` series

PROCESS = CollectorRegistry()
ProcessCollector(registry=PROCESS)

WAIT_SECONDS = (0.1, 0.3, 1, 3, 10, 30, 60, 180, 600, 1800, 3600)

QUEUE_WAIT = Histogram(
    "transcribe_queue_wait_seconds",
    "Time from the start of a job by a person to its first claim by a worker.",
    ["engine"],
    buckets=WAIT_SECONDS,
    registry=PROCESS,
)
ATTEMPTS_ENDED = Counter(
    "transcribe_attempts_ended",
    "Ended attempts of this worker by outcome: completed, failed, postponed, preempted, handed_back (the worker "
    "stopped), lost (cancelled, deleted or claimed by another worker).",
    ["engine", "outcome"],
    registry=PROCESS,
)
FAILURES = Counter(
    "transcribe_failures",
    "Handled failures by part: database, channel_layer, storage, engine, viewer.",
    ["part"],
    registry=PROCESS,
)
EVENTS_PUBLISHED = Counter(
    "transcribe_events_published", "Events of jobs that this worker published.", registry=PROCESS
)
EVENTS_SENT = Counter("transcribe_events_sent", "Messages sent to viewers.", registry=PROCESS)
STABLE_PREFIXES = Counter(
    "transcribe_stable_prefixes",
    "Finals whose last partial had a stable prefix: kept if the final begins with it, else broken.",
    ["engine", "outcome"],
    registry=PROCESS,
)
VIEWERS = Gauge("transcribe_viewers", "Sockets of this process that watch a job.", registry=PROCESS)

for part in ("database", "channel_layer", "storage", "engine", "viewer"):
    FAILURES.labels(part)  # create the series at 0, so that the first failure shows as an increase


@dataclass(eq=False)
class Stream:
    """An engine that transcribes a recording. `transcribed` returns the seconds of audio consumed; None at the end."""

    engine: str
    transcribed: Callable[[], float | None]
    began_at: float = field(default_factory=lambda: time.monotonic())

    @property
    def lag(self) -> float:
        """How far (seconds) the engine is behind real time since the stream began."""
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
    """The number and the largest lag of this process's streams, by engine."""

    def collect(self) -> Iterable[Metric]:
        count = GaugeMetricFamily(
            "transcribe_streams", "Recordings that the engine transcribes in this process.", labels=["engine"]
        )
        lag = GaugeMetricFamily(
            "transcribe_stream_lag_seconds",
            "How far the slowest stream of this process is behind real time, in seconds of audio.",
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
    """The state of the queue. One query, which uses the partial index of active jobs."""

    def collect(self) -> Iterable[Metric]:
        is_up = GaugeMetricFamily(
            "transcribe_database_up", "1 if the database returned the state of the queue, else 0."
        )
        try:
            found = queue()
        except Error:
            is_up.add_metric([], 0)
            return [is_up]  # the metrics of this process remain available
        is_up.add_metric([], 1)
        jobs = GaugeMetricFamily("transcribe_jobs", "Queued and running jobs of the whole site.", labels=["status"])
        for status in ACTIVE:
            jobs.add_metric([status], found[status])
        oldest = GaugeMetricFamily("transcribe_queue_oldest_seconds", "How long the oldest queued job has waited.")
        oldest.add_metric([], found["oldest_seconds"])
        stalled = GaugeMetricFamily(
            "transcribe_jobs_stalled", "Running jobs with an expired lease: their worker is dead or frozen."
        )
        stalled.add_metric([], found["stalled"])
        return is_up, jobs, oldest, stalled


def queue() -> dict[str, float]:
    """Return the numbers of queued, running and stalled jobs, and the age of the oldest queued one. One query."""
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
    """Return all metrics of a web process in Prometheus's text format. One query; its failure is a metric too."""
    return generate_latest(PROCESS) + generate_latest(_site)
