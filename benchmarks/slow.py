"""Viewers who can't keep up, among fifty who can: what they cost the server and the others, and what they miss."""

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.site import forget_peak, peak_mib
from benchmarks.slow_reader import Never, Slowly
from benchmarks.watched import Part, Server, Watched, percentile, watched

VIEWERS = 50
ROUNDS = 3  # with the one who never reads and without, in turns
HEAVY = {"seconds": 6, "partials_a_second": 100, "partial_characters": 2000, "finals_a_second": 2}
END_SECONDS = 60.0  # in which the server should have ended who never reads; waited for in the last round only
LATE_SECONDS = 30.0  # for the last final of who reads slowly
# Finals alone are a third of a KB a second, partials thirty: what can't be read must be left out.
LIGHT = {
    "seconds": 30,
    "partials_a_second": 100,
    "partial_characters": 200,
    "finals_a_second": 0.5,
    "final_characters": 40,
}
READ_BYTES_A_SECOND = 2048
QUICK = {
    "VIEWERS": 3,
    "ROUNDS": 1,
    "HEAVY": HEAVY | {"seconds": 1},
    "LIGHT": LIGHT | {"seconds": 2},
    "END_SECONDS": 1.0,
    "LATE_SECONDS": 1.0,
}


@dataclass
class Heavy:
    """A run under the heavy stream: how much the server's memory grew, what the others saw, and of the one what the
    kernel kept for it and how it ended."""

    grown_mib: float
    delays_ms: list[float]
    unsent_kib: float = 0.0
    end: str = ""


def heavy(site: Watched, server: Server, after: int, *, has_never: bool, end_seconds: float = 0.0) -> tuple[Heavy, int]:
    """Measure a run; return also how many finals the job has now."""
    speaker = site.speaker(**HEAVY)
    audience = site.audience(server, VIEWERS, after=after)
    audience.wait_until_ready()
    never = Never(server, after) if has_never else None
    time.sleep(1.0)
    before = forget_peak(server.pid)
    speaker.go_on()
    spoken = speaker.result()
    grown = peak_mib(server.pid) - before
    unsent = never.unsent_bytes() / 1024 if never else 0.0
    end = never.wait_for_end(end_seconds) if never else ""
    seen = stop(audience)
    assert not seen["gaps"] and not seen["cuts"] and seen["seqs"] == [spoken["seq"]], "another viewer missed something"
    return Heavy(grown, [1000 * delay for delay in seen["delays"]["partial"]], unsent, end), spoken["seq"]


def never_reads(name: str, site: Watched, server: Server, after: int) -> Iterator[tuple[str, str]]:
    _, after = heavy(site, server, after, has_never=False)  # the first run makes the process as large as it gets
    runs: dict[bool, list[Heavy]] = {False: [], True: []}
    for left in reversed(range(ROUNDS)):
        for has_never in (False, True):
            seconds = 0.0 if left else END_SECONDS
            measured, after = heavy(site, server, after, has_never=has_never, end_seconds=seconds)
            runs[has_never].append(measured)
    grown, grown_with = (statistics.median(run.grown_mib for run in runs[has]) for has in (False, True))
    yield (
        f"{name}, one never reads: memory of the server while 200 KB/s are sent",
        f"{grown_with - grown:+.1f} MiB because of it (at most 1): "
        f"it grew by {grown_with:.1f} with and {grown:.1f} without it",
    )
    unsent = max(run.unsent_kib for run in runs[True])
    yield f"{name}, one never reads: kept for it by the kernel, most", f"{unsent:.0f} KiB"
    yield f"{name}, one never reads: its end", runs[True][-1].end
    pairs = [
        (percentile(without.delays_ms, 0.99), percentile(with_it.delays_ms, 0.99))
        for without, with_it in zip(runs[False], runs[True], strict=True)
    ]
    told = ", ".join(f"{late:.0f} to {quick:.0f}" for quick, late in pairs)
    yield (
        f"{name}, one never reads: p99 of the {VIEWERS} others to that without it",
        f"{statistics.median(late / quick for quick, late in pairs):.2f}, median of {ROUNDS} pairs (at most 1.2): "
        f"{told} ms",
    )


def reads_slowly(name: str, site: Watched, server: Server) -> Iterator[tuple[str, str]]:
    speaker = site.speaker(**LIGHT)
    first = int(site.visitor.http.get(f"/jobs/{site.job}/transcript.json").json()["job"]["segments"])
    audience = site.audience(server, VIEWERS, after=first)
    audience.wait_until_ready()
    slowly = Slowly(server, first, READ_BYTES_A_SECOND)
    slowly.start()
    assert slowly.is_joined.wait(20.0), f"it has no snapshot: {slowly.heard.end}"
    speaker.go_on()
    last = speaker.result()["seq"]
    # What it has not read yet may be on its way for as long as there is something.
    ends_at = time.monotonic() + LATE_SECONDS
    while slowly.is_alive() and last not in slowly.heard.finals and time.monotonic() < ends_at:
        time.sleep(0.1)
    slowly.stopping.set()
    slowly.join()
    stop(audience)
    heard, sent = slowly.heard, LIGHT["seconds"] * LIGHT["partials_a_second"]
    missing = len(set(range(first + 1, last + 1)) - set(heard.finals))
    order = "in order" if heard.finals == sorted(set(heard.finals)) else "out of order"
    yield (
        f"{name}, one reads 2 KB/s: finals",
        f"{last - first - missing} of {last - first}, {order} (all){', ' + heard.end if heard.end else ''}",
    )
    for kind, behind in heard.behind.items():
        if behind:
            yield (
                f"{name}, one reads 2 KB/s: behind with {kind}s",
                f"median {percentile(behind, 0.5):.1f} s, most {max(behind):.1f} s (at most 2)",
            )
    skipped = 1 - len(heard.behind["partial"]) / sent
    yield f"{name}, one reads 2 KB/s: partials left out", f"{100 * skipped:.0f} % of {sent} (at least 90 %)"


def stop(audience: Part) -> dict:  # type: ignore[type-arg]
    audience.go_on()
    seen: dict = audience.result()  # type: ignore[type-arg]
    return seen


def run() -> Iterator[tuple[str, str]]:
    with watched() as site:
        for name, server in (("daphne", site.server()), ("uvicorn", site.uvicorn())):
            yield from reads_slowly(name, site, server)
            finals = int(site.visitor.http.get(f"/jobs/{site.job}/transcript.json").json()["job"]["segments"])
            yield from never_reads(name, site, server, finals)
