"""/healthz, /readyz and /metrics: the answers for load balancers and Prometheus, and for clients without the token."""

import queue
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from streaming import metrics
from streaming.models import Status
from tests import recordings as made
from tests.s3 import Bucket, Gate
from tests.site import Site, free_port, wait_until
from tests.streaming.factories import make_job, make_upload
from tests.visitor import Visitor, events, rows
from transcribe_site import health
from uploads.files import storage

TOKEN = "a long random text"


def readiness(site: Site) -> tuple[int, str]:
    answer = httpx.get(f"{site.url}/readyz", headers={"Host": "of.a.load.balancer"}, timeout=60)
    return answer.status_code, answer.text


def becomes(site: Site, wanted: tuple[int, str]) -> None:
    wait_until(lambda: readiness(site) == wanted, what=f"{wanted}")


def test_readyz_names_each_unavailable_dependency_until_it_recovers(
    new_site: Callable[..., Site], redis_url: str, bucket: Bucket
) -> None:
    redis = Gate(int(redis_url.rsplit(":", 1)[1].split("/")[0]))
    site = new_site(
        REDIS_URL=redis_url.replace(redis_url.split("/")[2], f"127.0.0.1:{redis.port}"),
        TRANSCRIBE_RUN_JOBS="0",
        **bucket.environment,
    )
    site.start()
    becomes(site, (200, "ok\n"))
    for part, gate in (("channel layer", redis), ("storage", bucket.gate)):
        gate.shut()
        becomes(site, (503, f"{part}: does not answer\n"))
        assert httpx.get(f"{site.url}/healthz", timeout=60).text == "ok\n"
        gate.open()
        becomes(site, (200, "ok\n"))
    database, aside = site.folder / "db.sqlite3", site.folder / "aside.sqlite3"
    database.rename(aside)
    becomes(site, (503, "database: does not answer\n"))
    bucket.gate.shut()
    becomes(site, (503, "database: does not answer\nstorage: does not answer\n"))
    database.unlink(missing_ok=True)
    aside.rename(database)
    bucket.gate.open()
    becomes(site, (200, "ok\n"))
    changes = re.findall(r"The storage (does not answer|answers again)", site.log())
    assert changes.count("answers again") >= 2
    assert all(one != next_one for one, next_one in pairwise(changes)), "each change once, however often it is asked"
    assert bucket.environment["AWS_SECRET_ACCESS_KEY"] not in site.log()
    redis.shut()


def test_readyz_reports_a_missing_folder_as_failed_storage(site: Site) -> None:
    becomes(site, (200, "ok\n"))
    (site.folder / "incoming").rename(site.folder / "elsewhere")
    becomes(site, (503, "storage: does not answer\n"))


def test_a_hanging_dependency_is_checked_once_and_reported_after_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CACHE_SECONDS", 600.0)
    asked: queue.Queue[int] = queue.Queue()
    answer = threading.Event()

    def hang() -> None:
        asked.put(1)
        answer.wait()

    part = health.Dependency("clock", hang)
    assert [part.is_ok(part.begin(), time.monotonic() + 0.05) for _ in range(3)] == [False, False, False]
    asked.get(timeout=60)
    answer.set()
    assert part.is_ok(part.begin(), time.monotonic() + 60)
    assert asked.empty(), "nor later, by all who asked in vain"


def test_a_hanging_dependency_does_not_fail_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    class Quick(health.Dependency):
        """A dependency that has answered before `begin` returns."""

        def begin(self) -> "Future[None]":
            answer = super().begin()
            answer.result()
            return answer

    hanging = threading.Event()
    parts = [health.Dependency("database", hanging.wait), Quick("storage", lambda: None)]  # type: ignore[arg-type]
    monkeypatch.setattr(health, "DEPENDENCIES", parts)
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.2)
    monkeypatch.setattr(health, "CACHE_SECONDS", 0.1)
    assert [health.failing() for _ in range(3)] == [["database"]] * 3
    hanging.set()


def test_readyz_reports_a_full_disk(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path
    storage.check()
    monkeypatch.setattr(storage.tempfile, "TemporaryFile", lambda **_: open("/dev/full", "wb"))  # noqa: SIM115 `check` closes it
    with pytest.raises(OSError, match="No space left"):
        storage.check()


def test_a_dependency_is_checked_at_most_once_per_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    part = health.Dependency("clock", lambda: asked.append(1))
    monkeypatch.setattr(health, "CACHE_SECONDS", 600.0)
    assert [part.is_ok(part.begin(), time.monotonic() + 60) for _ in range(5)] == [True] * 5
    assert len(asked) == 1
    monkeypatch.setattr(health, "CACHE_SECONDS", 0.0)
    assert part.is_ok(part.begin(), time.monotonic() + 60)
    assert len(asked) == 2


# Metrics


def values(text: str) -> dict[str, float]:
    """Return the samples of a metrics text: name with labels → value."""
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def test_metrics_need_the_configured_token(settings: Settings) -> None:
    assert Client().get("/metrics", headers={"Accept": "application/json"}).status_code == 404
    settings.TRANSCRIBE_METRICS_TOKEN = TOKEN
    for given in ({}, {"Authorization": "Bearer other"}, {"Authorization": f"Basic {TOKEN}"}, {"Authorization": "ä"}):
        answer = Client().get("/metrics", headers=given)
        assert (answer.status_code, answer.content) == (401, b"")


@pytest.mark.django_db
@pytest.mark.parametrize("count", [1, 30])
def test_the_queue_metrics_take_one_query(
    alice: User, settings: Settings, django_assert_num_queries: DjangoAssertNumQueries, count: int
) -> None:
    settings.TRANSCRIBE_METRICS_TOKEN = TOKEN
    upload, now = make_upload(alice), timezone.now()
    for _ in range(count):
        make_job(upload, Status.QUEUED, created_at=now - timedelta(seconds=100))
        make_job(upload, Status.RUNNING)
        make_job(upload, Status.COMPLETED, created_at=now - timedelta(seconds=1000))
    make_job(upload, Status.RUNNING, lease_expires_at=now - timedelta(seconds=1))
    with django_assert_num_queries(1):
        answer = Client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    found = values(answer.content.decode())
    assert found['transcribe_jobs{status="queued"}'] == count
    assert found['transcribe_jobs{status="running"}'] == count + 1
    assert found["transcribe_jobs_stalled"] == 1
    assert 100 <= found["transcribe_queue_oldest_seconds"] < 160
    assert found["transcribe_database_up"] == 1


def test_metrics_without_a_database_keep_the_other_values(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> Any:
        raise metrics.Error

    monkeypatch.setattr(metrics, "queue", away)
    found = values(metrics.site_metrics().decode())
    assert found["transcribe_database_up"] == 0
    assert "transcribe_jobs_stalled" not in found
    assert found["process_open_fds"] > 0


def test_the_lag_metric_counts_unsent_audio_and_ends_with_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(metrics.time, "monotonic", lambda: now)
    slow = metrics.Stream("scripted", lambda: 4.0)
    done = metrics.Stream("scripted", lambda: None)
    quick = metrics.Stream("scripted", lambda: 60.0)
    now = 110.0
    assert [stream.lag for stream in (slow, done, quick)] == [6.0, 0.0, 0.0]


def test_web_and_worker_export_their_metrics(new_site: Callable[..., Site], redis_url: str) -> None:
    web = new_site(REDIS_URL=redis_url, TRANSCRIBE_RUN_JOBS="0", TRANSCRIBE_METRICS_TOKEN=TOKEN)
    web.start()
    port = free_port()
    worker = new_site(REDIS_URL=redis_url, TRANSCRIBE_DATA_DIR=str(web.folder), TRANSCRIBE_METRICS_PORT=str(port))

    def of_worker() -> dict[str, float]:
        try:
            return values(httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=60).text)
        except httpx.ConnectError:
            return {}  # the worker is still starting

    def of_web() -> dict[str, float]:
        return values(httpx.get(f"{web.url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60).text)

    with Visitor(web) as visitor:
        job = visitor.start(visitor.upload(made.speech("beckett")))
        with visitor.watch(job) as viewer:
            assert next(watching := events(viewer))["job"]["status"] == "queued"
            assert of_web()["transcribe_viewers"] == 1
            worker.start_worker()
            assert any(event.get("job", {}).get("status") == "completed" for event in watching)
        done = 'transcribe_attempts_ended_total{engine="local",outcome="completed"}'
        wait_until(lambda: of_worker().get(done) == 1, what="the end of the attempt")
        wait_until(lambda: of_web()["transcribe_viewers"] == 0, what="no viewer")
    there, here = of_worker(), of_web()
    assert there['transcribe_queue_wait_seconds_count{engine="local"}'] == 1
    assert there['transcribe_queue_wait_seconds_sum{engine="local"}'] < 180
    assert there["transcribe_events_published_total"] >= 3
    assert here["transcribe_events_sent_total"] >= 3
    assert here['transcribe_jobs{status="running"}'] == 0
    failures = {name for name, value in there.items() if name.startswith("transcribe_failures") and value}
    assert failures <= {'transcribe_failures_total{part="channel_layer"}'}, "which a busy machine may let wait too long"
    assert "transcribe_jobs_stalled" not in there, "what all have in common is told once"
    busy = new_site(REDIS_URL=redis_url, TRANSCRIBE_DATA_DIR=str(web.folder), TRANSCRIBE_METRICS_PORT=str(port))
    busy.start_worker()
    wait_until(lambda: busy.process is not None and busy.process.poll() is not None, 60, "the end of the second")
    assert busy.stop() == 1
    assert f"Could not serve metrics on 127.0.0.1:{port}" in busy.log()
    assert worker.stop() == 0
    assert [name for (name,) in rows(web, "select status from streaming_job")] == ["completed"]
