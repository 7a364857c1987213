"""Two thousand finals as quickly as they can be stored, to five hundred viewers: whether each has all of them in order.

On PostgreSQL. What the channel layer lost is fetched from the database, and so seen in its log.
"""

from collections.abc import Iterator

import redis

from benchmarks.statements import Statements
from benchmarks.watched import Server, Watched, own_cpu_seconds, wait_until_idle, watched
from tests.postgres import Postgres

FINALS, VIEWERS = 2_000, 500
QUICK = {"FINALS": 50, "VIEWERS": 5, "MOST_SECONDS": 20}
MOST_SECONDS = 240  # until the last viewer has the last final


def burst(name: str, site: Watched, server: Server, statements: Statements, after: int) -> Iterator[tuple[str, str]]:
    speaker = site.speaker(burst=FINALS, final_characters=60)
    audience = site.audience(server, VIEWERS, after=after)
    audience.wait_until_ready()
    statements.begin()
    before = own_cpu_seconds(server.pid)
    speaker.go_on()
    spoken = speaker.result()
    wait_until_idle(server.pid, MOST_SECONDS)
    used = own_cpu_seconds(server.pid) - before
    asked = statements.since()
    audience.go_on()
    seen = audience.result()
    had = len(seen["delays"]["final"])
    least = seen["seqs"][0] - after
    yield f"{name}, {FINALS} finals stored and sent within", f"{spoken['took']:.1f} s"
    yield (
        f"{name}, what each of {VIEWERS} viewers has",
        f"at least {least} (all {FINALS}), {seen['gaps']} gaps (none), {seen['cuts']} cut off, "
        f"{100 * had / (FINALS * VIEWERS):.1f} % as events, the rest in the snapshots of who came again",
    )
    yield (
        f"{name}, until the last viewer has the last",
        f"{seen['last_final_at'] - spoken['began_at']:.1f} s; {1e6 * used / max(1, had):.0f} µs of CPU a delivery",
    )
    cut = redis.Redis.from_url(site.redis.url).info("clients").get("client_output_buffer_limit_disconnections", 0)
    yield (
        f"{name}, finals fetched from the database",
        f"in {asked['finals fetched']} statements (lost on the way, or too old for the server's memory); "
        f"cut off by Redis as too slow: {cut}",
    )


def run() -> Iterator[tuple[str, str]]:
    with Postgres(is_durable=True) as postgres, watched({"DATABASE_URL": postgres.create_database("bench")}) as site:
        statements = Statements(postgres)
        for number, (name, start) in enumerate((("daphne", site.server), ("uvicorn", site.uvicorn))):
            yield from burst(name, site, start(), statements, number * FINALS)
