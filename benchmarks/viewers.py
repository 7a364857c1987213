"""Many viewers of one job, ten events a second over Redis: the CPU that a delivery costs the server, and its delay.

Compares ours on daphne and on uvicorn with a consumer on daphne that joins the group itself, and with the upper limit,
a server that only calls `websockets.broadcast`. The servers are measured in turns.
"""

import math
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.live_job import LiveJob, Server, live_job, percentile
from benchmarks.site import own_cpu_seconds, wait_until_idle

VIEWERS = (200, 500)
SECONDS, EVENTS_A_SECOND = 8, 10
SETTLE_SECONDS = 1.0
ROUNDS = 3
QUICK = {"VIEWERS": (5,), "SECONDS": 1, "ROUNDS": 1, "SETTLE_SECONDS": 0.2}
GOALS = {"daphne": 4, "uvicorn": 8}


@dataclass
class Delivered:
    """The CPU of a delivery (µs, of the server's process alone), and the delay of each."""

    cpu_us: float
    delays_ms: list[float]

    # The system counts CPU in hundredths of a second: a quick run may have used none, and then ratios mean nothing.

    @property
    def p99_ms(self) -> float:
        return percentile(self.delays_ms, 0.99)

    def __str__(self) -> str:
        median = percentile(self.delays_ms, 0.5)
        return f"{self.cpu_us:.0f} µs a delivery, median {median:.0f} ms, p99 {self.p99_ms:.0f} ms"


def measure(site: LiveJob, server: Server, viewers: int) -> Delivered:
    """Open so many sockets and publish events to them; return the CPU and the delays."""
    source = site.event_source(seconds=SECONDS, partials_a_second=EVENTS_A_SECOND)
    clients = site.viewers(server, viewers)
    clients.wait_until_ready()
    time.sleep(SETTLE_SECONDS)
    before = own_cpu_seconds(server.pid)
    source.proceed()
    source.result()
    wait_until_idle(server.pid)  # a server that is too slow still has a queue
    used = own_cpu_seconds(server.pid) - before
    clients.proceed()
    seen = clients.result()
    delays = [1000 * delay for delay in seen["delays"]["partial"]]
    sent = SECONDS * EVENTS_A_SECOND * viewers
    # Skipped partials cost nothing and have no delay, so a server that skips many would look better than it is.
    assert len(delays) > 0.9 * sent, f"only {len(delays)} of {sent} arrived"
    assert not seen["reconnects"]
    return Delivered(1e6 * used / len(delays), delays)


def together(runs: list[Delivered]) -> Delivered:
    """Return the median of the CPU, and all delays, so that one late event does not decide the p99."""
    return Delivered(statistics.median(run.cpu_us for run in runs), [ms for run in runs for ms in run.delays_ms])


def run() -> Iterator[tuple[str, str]]:
    with live_job() as site:
        servers = {
            "a consumer in the group": site.peer(
                "daphne", "-p", "PORT", "-v", "0", "benchmarks.group_consumer:application"
            ),
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
            group, limit = found["a consumer in the group"], found["websockets.broadcast"]
            yield f"{viewers} viewers, a consumer in the group, {ROUNDS} runs", str(group)
            yield f"{viewers} viewers, websockets.broadcast", str(limit)
            for name, goal in GOALS.items():
                ours = found[name]
                yield (
                    f"{viewers} viewers, ours on {name}",
                    f"{ours}: 1/{group.cpu_us / (ours.cpu_us or math.nan):.1f} of the group's CPU (at most 1/{goal}), "
                    f"1/{group.p99_ms / ours.p99_ms:.1f} of its p99 (at most 1/4); "
                    f"{ours.cpu_us / (limit.cpu_us or math.nan):.1f} times the limit's CPU, "
                    f"{ours.p99_ms / limit.p99_ms:.1f} times its p99",
                )
