"""Two thousand finals, stored and sent as quickly as possible to five hundred viewers. Checks that none is missing.

Runs on PostgreSQL. The server reads finals that the channel layer lost from the database, so its log counts them.
"""

from collections.abc import Iterator

import redis

from benchmarks.live_job import LiveJob, Server, live_job
from benchmarks.site import own_cpu_seconds, wait_until_idle
from benchmarks.statements import Statements
from tests.postgres import Postgres

FINALS, VIEWERS = 2_000, 500
QUICK = {"FINALS": 50, "VIEWERS": 5, "MOST_SECONDS": 20}
MOST_SECONDS = 240  # until the last viewer has the last final


def burst(name: str, site: LiveJob, server: Server, statements: Statements, after: int) -> Iterator[tuple[str, str]]:
    source = site.event_source(burst=FINALS, final_characters=60)
    clients = site.viewers(server, VIEWERS, after=after)
    clients.wait_until_ready()
    statements.begin()
    before = own_cpu_seconds(server.pid)
    source.proceed()
    published = source.result()
    wait_until_idle(server.pid, MOST_SECONDS)
    used = own_cpu_seconds(server.pid) - before
    counts = statements.since()
    clients.proceed()
    seen = clients.result()
    received = len(seen["delays"]["final"])
    least = seen["seqs"][0] - after
    yield f"{name}, {FINALS} finals stored and sent within", f"{published['took']:.1f} s"
    yield (
        f"{name}, finals of each of {VIEWERS} viewers",
        f"at least {least} (all {FINALS}), {seen['gaps']} gaps (none), {seen['reconnects']} connections closed, "
        f"{100 * received / (FINALS * VIEWERS):.1f} % as events, the rest in snapshots after they connected again",
    )
    yield (
        f"{name}, until the last viewer has the last final",
        f"{seen['last_final_at'] - published['began_at']:.1f} s; "
        f"{1e6 * used / max(1, received):.0f} µs of CPU a delivery",
    )
    closed = redis.Redis.from_url(site.redis.url).info("clients").get("client_output_buffer_limit_disconnections", 0)
    yield (
        f"{name}, finals fetched from the database",
        f"in {counts['finals fetched']} statements (lost by the channel layer, or no longer in the feed's memory); "
        f"connections that Redis closed as too slow: {closed}",
    )


def run() -> Iterator[tuple[str, str]]:
    with Postgres(is_durable=True) as postgres, live_job({"DATABASE_URL": postgres.create_database("bench")}) as site:
        statements = Statements(postgres)
        for number, (name, start) in enumerate((("daphne", site.server), ("uvicorn", site.uvicorn))):
            yield from burst(name, site, start(), statements, number * FINALS)
