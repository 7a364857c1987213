"""Viewers join a running job with five thousand finals on PostgreSQL: one at a time, and five hundred at once."""

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.live_job import LiveJob, Server, live_job, percentile
from benchmarks.site import forget_peak, peak_mib, wait_until_idle
from benchmarks.statements import Statements
from tests.postgres import Postgres

SEGMENTS = 5_000
TIMES = 20
VIEWERS = 500
QUICK = {"SEGMENTS": 50, "TIMES": 2, "VIEWERS": 5}
LATE = 10  # finals that a returning viewer has missed


def in_words(joins: list[float]) -> str:
    ms = [1000 * seconds for seconds in joins]
    return f"median {statistics.median(ms):.0f} ms, p95 {percentile(ms, 0.95):.0f} ms, most {max(ms):.0f} ms"


def join(site: LiveJob, server: Server, viewers: int, **plan: int) -> dict:  # type: ignore[type-arg]
    """Let so many viewers join, and return the figures of their programs."""
    clients = site.viewers(server, viewers, **plan)
    clients.wait_until_ready()
    clients.proceed()
    seen: dict = clients.result()  # type: ignore[type-arg]
    assert seen["seqs"] == [SEGMENTS], seen["seqs"]
    wait_until_idle(server.pid)  # the server has noticed that the viewers left
    return seen


def alone(name: str, site: LiveJob, server: Server) -> Iterator[tuple[str, str]]:
    first = [join(site, server, 1)["joins"][0] for _ in range(TIMES)]
    yield f"{name}, the only viewer: connect to the end of the snapshot", f"{in_words(first)} (at most 100)"
    more = join(site, server, TIMES + 1, opening=1)["joins"][1:]
    yield f"{name}, one more viewer: connect to the end of the snapshot", f"{in_words(more)} (at most 100)"


def together(name: str, site: LiveJob, server: Server, statements: Statements, after: int) -> Iterator[tuple[str, str]]:
    what = f"{name}, {VIEWERS} at once, {f'all finals after {after}' if after else 'all finals'}"
    before = forget_peak(server.pid)
    statements.begin()
    seen = join(site, server, VIEWERS, opening=VIEWERS, after=after)
    counts = statements.since()
    assert counts["finals fetched"], "the server still had the feed of earlier viewers"
    yield f"{what}: until all are current", f"{seen['all_joined_seconds']:.1f} s (at most 2); {in_words(seen['joins'])}"
    parts = ", ".join(f"{about} {count}" for about, count in sorted(counts.items()))
    yield f"{what}: statements to the database", f"{counts.total()} ({parts}) (at most 10)"
    yield f"{what}: memory of the server", f"{before:.0f} MiB before, {peak_mib(server.pid):.0f} MiB at most"


def run() -> Iterator[tuple[str, str]]:
    with Postgres(is_durable=True) as postgres, live_job({"DATABASE_URL": postgres.create_database("bench")}) as site:
        command = [sys.executable, "-m", "benchmarks.rows", "finals", str(site.job), str(SEGMENTS)]
        subprocess.run(command, env=site.environ, check=True)
        transcript = site.visitor.http.get(f"/jobs/{site.job}/transcript.json").json()
        size = len(json.dumps(transcript["segments"], separators=(",", ":")))
        yield "the job", f"{SEGMENTS} finals, {size / 1e6:.1f} MB"
        statements = Statements(postgres)
        for name, server in (("daphne", site.server()), ("uvicorn", site.uvicorn())):
            yield from alone(name, site, server)
            yield from together(name, site, server, statements, 0)
            yield from together(name, site, server, statements, SEGMENTS - LATE)
