"""Two thousand viewers of one job in one process: the delay of finals, and the memory of a viewer."""

import time
from collections.abc import Iterator

from benchmarks.live_job import LiveJob, Program, Server, live_job, percentile
from benchmarks.site import forget_peak, own_cpu_seconds, wait_until_idle

VIEWERS = 2_000
HALVES = 2  # the viewers are clients in so many processes
SCHEDULE = {"seconds": 20, "partials_a_second": 2, "finals_a_second": 0.5, "final_characters": 60}
QUIET_SECONDS = 20.0
QUICK = {"VIEWERS": 10, "SCHEDULE": SCHEDULE | {"seconds": 2}, "QUIET_SECONDS": 0.5, "LATE_SECONDS": 1.0}
LATE_SECONDS = 15.0  # for messages that are still on their way


def gather(site: LiveJob, server: Server) -> tuple[list[Program], float]:
    """Let all viewers join. Returns their programs, and by how many MiB the server's memory grew."""
    before = forget_peak(server.pid)
    programs = [site.viewers(server, VIEWERS // HALVES) for _ in range(HALVES)]
    for program in programs:
        program.wait_until_ready()
    wait_until_idle(server.pid)
    return programs, forget_peak(server.pid) - before


def measure(name: str, site: LiveJob, bare: Server, server: Server) -> Iterator[tuple[str, str]]:
    idle, bare_grown = gather(site, bare)
    for program in idle:
        program.proceed()
        program.result()
    source = site.event_source(**SCHEDULE)
    programs, grown = gather(site, server)
    more = 1024 * (grown - bare_grown) / VIEWERS
    yield (
        f"{name}, memory of a viewer",
        f"{more:.1f} KB more than the bare server's {1024 * bare_grown / VIEWERS:.1f} KB (at most 22 more)",
    )
    quiet = own_cpu_seconds(server.pid)
    time.sleep(QUIET_SECONDS)
    quiet = (own_cpu_seconds(server.pid) - quiet) / QUIET_SECONDS
    yield f"{name}, {VIEWERS} viewers, while nothing is published", f"{quiet:.2f} cores"
    source.proceed()
    last = source.result()["seq"]
    time.sleep(LATE_SECONDS)
    for program in programs:
        program.proceed()
    seen = [program.result() for program in programs]
    assert all(part["seqs"] == [last] and not part["gaps"] for part in seen), "a viewer misses finals"
    finals = [delay for part in seen for delay in part["delays"]["final"]]
    partials = [delay for part in seen for delay in part["delays"]["partial"]]
    sent = VIEWERS * SCHEDULE["seconds"] * SCHEDULE["partials_a_second"]
    yield (
        f"{name}, {VIEWERS} viewers, {len(finals) // VIEWERS} finals to each",
        f"all arrived; median {percentile(finals, 0.5):.2f} s, worst {max(finals):.2f} s (at most 2), "
        f"{100 * sum(delay > 2.0 for delay in finals) / len(finals):.1f} % later than 2 s",
    )
    yield (
        f"{name}, {VIEWERS} viewers, partials",
        f"{100 * len(partials) / sent:.0f} % sent, p99 {percentile(partials, 0.99):.2f} s",
    )
    yield f"{name}, {VIEWERS} viewers, connections closed", str(sum(part["reconnects"] for part in seen))


def run() -> Iterator[tuple[str, str]]:
    with live_job() as site:
        idle = "benchmarks.bare_server:application"
        bare = site.peer("daphne", "-p", "PORT", "-v", "0", idle)
        yield from measure("daphne", site, bare, site.server())
        bare = site.peer("uvicorn", idle, "--port", "PORT", "--log-level", "warning")
        yield from measure("uvicorn", site, bare, site.uvicorn())
