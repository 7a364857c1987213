"""A served site to measure, in a temporary folder, and the memory and answer times of its processes."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from tests.postgres import Postgres
from tests.site import Site
from tests.visitor import Visitor, events

IDLE_CPU_SECONDS = 0.05  # in a second: queries to the database, pings
IDLE_DEADLINE_SECONDS = 20
QUICK = {"IDLE_DEADLINE_SECONDS": 1}


@contextmanager
def database() -> Iterator[str]:
    """Yield the address of a database on a PostgreSQL that syncs its writes to disk, as one in use does."""
    with Postgres(is_durable=True) as postgres:
        yield postgres.create_database("bench")


@contextmanager
def served(environment: dict[str, str] | None = None) -> Iterator[tuple[Site, Visitor]]:
    with tempfile.TemporaryDirectory(prefix="transcribe-bench-") as folder:
        site = Site(Path(folder), environment or {})
        site.manage("migrate", "--verbosity", "0")
        site.manage("collectstatic", "--noinput", "--verbosity", "0")
        site.manage("ensure_admin")
        site.start()
        wait_until_idle(site.process.pid)  # type: ignore[union-attr]  # the spare recogniser has loaded its model, as on a site in use
        try:
            with Visitor(site) as visitor:
                yield site, visitor
        finally:
            site.stop()


def watch(visitor: Visitor, upload: str) -> Iterator[tuple[float, dict]]:  # type: ignore[type-arg]
    """Start a job and yield each of its events with the seconds since the start, until the job ends."""
    began = time.perf_counter()
    job = visitor.start(upload)
    with visitor.watch(job) as viewer:
        for event in events(viewer, timeout=600):
            yield time.perf_counter() - began, event
            if event.get("job", {}).get("status") in ("completed", "failed"):
                assert event["job"]["status"] == "completed", event
                return


def slowest(ask: Callable[[], httpx.Response], until: Callable[[], bool]) -> tuple[float, int]:
    """Send requests one after the other; return the slowest answer (seconds) and the number of requests."""
    longest, count = 0.0, 0
    while not until() or not count:
        began = time.perf_counter()
        ask().raise_for_status()
        longest, count = max(longest, time.perf_counter() - began), count + 1
        time.sleep(0.02)
    return longest, count


def meanwhile(site: Site, visitor: Visitor, until: Callable[[], bool]) -> str:
    """Return the slowest answers of `/healthz` and of a page until the condition `until` is met."""
    new_connections = httpx.Limits(max_keepalive_connections=0)  # as those of a load balancer
    with httpx.Client(limits=new_connections, timeout=60) as anonymous, ThreadPoolExecutor(2) as together:
        health = together.submit(slowest, lambda: anonymous.get(f"{site.url}/healthz"), until)
        pages = together.submit(slowest, lambda: visitor.http.get("/jobs/", headers={"Accept": "text/html"}), until)
        (health_seconds, _), (page_seconds, count) = health.result(), pages.result()
    return f"/healthz {health_seconds:.2f} s, a page {page_seconds:.2f} s at most ({count} pages)"


def after(seconds: float) -> Callable[[], bool]:
    """Return a condition that is met after so many seconds."""
    ends_at = time.monotonic() + seconds
    return lambda: time.monotonic() > ends_at


def memory_mib(pid: int) -> dict[str, float]:
    """Return the resident memory (MiB) of a process and of its children, by their purpose."""
    found = {"server": _resident(pid)}
    for child in children(pid):
        try:
            name = "recogniser" if "recogniser" in Path(f"/proc/{child}/cmdline").read_text() else "decoder"
            found[name] = found.get(name, 0.0) + _resident(int(child))
        except OSError:
            continue  # the child has ended since it was listed
    return found


def children(pid: int) -> list[str]:
    """Return the ids of a process's children. Linux lists them for each thread; threads of requests start decoders."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # the thread has ended since it was listed
            found += path.read_text().split()
    return found


def peak_mib(pid: int) -> float:
    """Return the peak of a process's memory (MiB) since `forget_peak`."""
    return _resident(pid, "VmHWM")


def forget_peak(pid: int) -> float:
    """Reset the peak of a process's memory to its present value, and return that (MiB)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return _resident(pid)


def _resident(pid: int, which: str = "VmRSS") -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(which)), 0.0)


def own_cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def wait_until_idle(pid: int, seconds: int | None = None) -> None:
    """Wait until a process and its children have used next to no CPU for a second, or until the deadline (seconds)."""
    before = _cpu_seconds_of_all(pid)
    for _ in range(seconds or IDLE_DEADLINE_SECONDS):
        time.sleep(1.0)
        now = _cpu_seconds_of_all(pid)
        if now.keys() == before.keys() and sum(now.values()) - sum(before.values()) < IDLE_CPU_SECONDS:
            return
        before = now


def _cpu_seconds_of_all(pid: int) -> dict[int, float]:
    found = {pid: own_cpu_seconds(pid)}
    for child in map(int, children(pid)):
        with suppress(OSError):  # the child has ended since it was listed
            found[child] = own_cpu_seconds(child)
    return found
