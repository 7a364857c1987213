"""Two thousand viewers of one job on one process: how late finals are, and how much memory a viewer takes."""

import time
from collections.abc import Iterator

from benchmarks.site import forget_peak
from benchmarks.watched import Part, Server, Watched, own_cpu_seconds, percentile, watched

VIEWERS = 2_000
HALVES = 2  # processes that the viewers are in
SPEECH = {"seconds": 20, "partials_a_second": 2, "finals_a_second": 0.5, "final_characters": 60}
QUIET_SECONDS = 20.0
QUICK = {"VIEWERS": 10, "SPEECH": SPEECH | {"seconds": 2}, "QUIET_SECONDS": 0.5, "LATE_SECONDS": 1.0}
LATE_SECONDS = 15.0  # for what is still on its way


def gather(site: Watched, server: Server) -> tuple[list[Part], float]:
    """Let them all join; return them, and how much the server's memory grew by it."""
    before = forget_peak(server.pid)
    crowd = [site.audience(server, VIEWERS // HALVES) for _ in range(HALVES)]
    for part in crowd:
        part.wait_until_ready()
    time.sleep(2.0)
    return crowd, forget_peak(server.pid) - before


def measure(name: str, site: Watched, bare: Server, server: Server) -> Iterator[tuple[str, str]]:
    idle, bare_grown = gather(site, bare)
    for part in idle:
        part.go_on()
        part.result()
    speaker = site.speaker(**SPEECH)
    crowd, grown = gather(site, server)
    more = 1024 * (grown - bare_grown) / VIEWERS
    yield (
        f"{name}, memory of a viewer",
        f"{more:.1f} KB more than the bare server's {1024 * bare_grown / VIEWERS:.1f} KB (at most 22 more)",
    )
    quiet = own_cpu_seconds(server.pid)
    time.sleep(QUIET_SECONDS)
    quiet = (own_cpu_seconds(server.pid) - quiet) / QUIET_SECONDS
    yield f"{name}, {VIEWERS} viewers, while nothing is said", f"{quiet:.2f} cores"
    speaker.go_on()
    last = speaker.result()["seq"]
    time.sleep(LATE_SECONDS)
    for part in crowd:
        part.go_on()
    seen = [part.result() for part in crowd]
    assert all(part["seqs"] == [last] and not part["gaps"] for part in seen), "a viewer has not all finals"
    finals = [delay for part in seen for delay in part["delays"]["final"]]
    partials = [delay for part in seen for delay in part["delays"]["partial"]]
    sent = VIEWERS * SPEECH["seconds"] * SPEECH["partials_a_second"]
    yield (
        f"{name}, {VIEWERS} viewers, {len(finals) // VIEWERS} finals to each",
        f"all of them; median {percentile(finals, 0.5):.2f} s, worst {max(finals):.2f} s (at most 2), "
        f"{100 * sum(delay > 2.0 for delay in finals) / len(finals):.1f} % later than 2 s",
    )
    yield (
        f"{name}, {VIEWERS} viewers, partials",
        f"{100 * len(partials) / sent:.0f} % sent, p99 {percentile(partials, 0.99):.2f} s",
    )
    yield f"{name}, {VIEWERS} viewers, cut off", str(sum(part["cuts"] for part in seen))


def run() -> Iterator[tuple[str, str]]:
    with watched() as site:
        idle = "benchmarks.idle:application"
        bare = site.peer("daphne", "-p", "PORT", "-v", "0", idle)
        yield from measure("daphne", site, bare, site.server())
        bare = site.peer("uvicorn", idle, "--port", "PORT", "--log-level", "warning")
        yield from measure("uvicorn", site, bare, site.uvicorn())
