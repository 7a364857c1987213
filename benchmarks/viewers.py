"""Many viewers of one job, ten events a second over Redis: what a delivery costs the server, and how long it takes.

Ours on daphne and on uvicorn, next to a consumer on daphne that joins the group itself, and to the limit: a server
that does nothing but `websockets.broadcast`. They are measured in turns.
"""

import math
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.watched import Server, Watched, own_cpu_seconds, percentile, wait_until_idle, watched

VIEWERS = (200, 500)
SECONDS, EVENTS_A_SECOND = 8, 10
SETTLE_SECONDS = 1.0
ROUNDS = 3
QUICK = {"VIEWERS": (5,), "SECONDS": 1, "ROUNDS": 1, "SETTLE_SECONDS": 0.2}
GOALS = {"daphne": 4, "uvicorn": 8}


@dataclass
class Delivered:
    """A delivery's CPU (of the server's process alone, in µs), and how long each took."""

    cpu_us: float
    delays_ms: list[float]

    # CPU is counted in hundredths of a second: of a quick run none may have been used, and ratios have no value.

    @property
    def p99_ms(self) -> float:
        return percentile(self.delays_ms, 0.99)

    def __str__(self) -> str:
        median = percentile(self.delays_ms, 0.5)
        return f"{self.cpu_us:.0f} µs a delivery, median {median:.0f} ms, p99 {self.p99_ms:.0f} ms"


def measure(site: Watched, server: Server, viewers: int) -> Delivered:
    """Open so many sockets, publish, and return what it cost and took."""
    speaker = site.speaker(seconds=SECONDS, partials_a_second=EVENTS_A_SECOND)
    audience = site.audience(server, viewers)
    audience.wait_until_ready()
    time.sleep(SETTLE_SECONDS)
    before = own_cpu_seconds(server.pid)
    speaker.go_on()
    speaker.result()
    wait_until_idle(server.pid)  # one that is too slow has a queue
    used = own_cpu_seconds(server.pid) - before
    audience.go_on()
    seen = audience.result()
    delays = [1000 * delay for delay in seen["delays"]["partial"]]
    sent = SECONDS * EVENTS_A_SECOND * viewers
    # Partials may be skipped; then there is less to pay for, and what was skipped is told by nobody's delay.
    assert len(delays) > 0.9 * sent, f"only {len(delays)} of {sent} arrived"
    assert not seen["cuts"]
    return Delivered(1e6 * used / len(delays), delays)


def together(runs: list[Delivered]) -> Delivered:
    """Return the median of the CPU, and all delays: an event that was late is one of many then."""
    return Delivered(statistics.median(run.cpu_us for run in runs), [ms for run in runs for ms in run.delays_ms])


def run() -> Iterator[tuple[str, str]]:
    with watched() as site:
        servers = {
            "a consumer in the group": site.peer("daphne", "-p", "PORT", "-v", "0", "benchmarks.plain:application"),
            "websockets.broadcast": site.peer("benchmarks.broadcast", "PORT"),
            "daphne": site.server(),
            "uvicorn": site.uvicorn(),
        }
        for viewers in VIEWERS:
            runs: dict[str, list[Delivered]] = {name: [] for name in servers}
            for _ in range(ROUNDS):
                for name, server in servers.items():
                    runs[name].append(measure(site, server, viewers))
            found = {name: together(runs[name]) for name in servers}
            theirs, limit = found["a consumer in the group"], found["websockets.broadcast"]
            yield f"{viewers} viewers, a consumer in the group, {ROUNDS} runs", str(theirs)
            yield f"{viewers} viewers, websockets.broadcast", str(limit)
            for name, goal in GOALS.items():
                ours = found[name]
                yield (
                    f"{viewers} viewers, ours on {name}",
                    f"{ours}: 1/{theirs.cpu_us / (ours.cpu_us or math.nan):.1f} of the group's CPU (at most 1/{goal}), "
                    f"1/{theirs.p99_ms / ours.p99_ms:.1f} of its p99 (at most 1/4); "
                    f"{ours.cpu_us / (limit.cpu_us or math.nan):.1f} times the limit's CPU, "
                    f"{ours.p99_ms / limit.p99_ms:.1f} times its p99",
                )
