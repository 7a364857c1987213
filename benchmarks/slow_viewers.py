"""One slow viewer among fifty quick ones: its cost for the server and the others, and the events that it misses."""

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.live_job import LiveJob, Program, Server, live_job, percentile
from benchmarks.site import forget_peak, peak_mib, wait_until_idle
from benchmarks.slow_reader import NonReader, SlowReader

VIEWERS = 50
ROUNDS = 3  # with the viewer that never reads and without it, in turns
HEAVY = {"seconds": 6, "partials_a_second": 100, "partial_characters": 2000, "finals_a_second": 2}
END_SECONDS = 60.0  # by then the server should have evicted the viewer that never reads; only the last round waits
LATE_SECONDS = 30.0  # for the slow viewer's last final
# Finals are a third of a KB a second, partials thirty: the server must skip partials that the viewer can't read.
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
    """A run under the heavy stream: the growth of the server's memory, the delays of the others, and, for the viewer
    that never reads, the bytes that the kernel kept for it and how its connection ended."""

    grown_mib: float
    delays_ms: list[float]
    unsent_kib: float = 0.0
    end: str = ""


def heavy(site: LiveJob, server: Server, after: int, *, has_never: bool, end_seconds: float = 0.0) -> tuple[Heavy, int]:
    """Measure a run. Returns it, and the number of finals that the job has now."""
    source = site.event_source(**HEAVY)
    clients = site.viewers(server, VIEWERS, after=after)
    clients.wait_until_ready()
    non_reader = NonReader(server, after) if has_never else None
    wait_until_idle(server.pid)
    before = forget_peak(server.pid)
    source.proceed()
    published = source.result()
    grown = peak_mib(server.pid) - before
    unsent = non_reader.unsent_bytes() / 1024 if non_reader else 0.0
    end = non_reader.wait_for_end(end_seconds) if non_reader else ""
    seen = stop(clients)
    assert seen["gaps"] == seen["reconnects"] == 0, "another viewer missed events"
    assert seen["seqs"] == [published["seq"]], "another viewer missed finals"
    return Heavy(grown, [1000 * delay for delay in seen["delays"]["partial"]], unsent, end), published["seq"]


def never_reads(name: str, site: LiveJob, server: Server, after: int) -> Iterator[tuple[str, str]]:
    _, after = heavy(site, server, after, has_never=False)  # not measured: the process reaches its full size
    runs: dict[bool, list[Heavy]] = {False: [], True: []}
    for left in reversed(range(ROUNDS)):
        for has_never in (False, True):
            seconds = 0.0 if left else END_SECONDS
            measured, after = heavy(site, server, after, has_never=has_never, end_seconds=seconds)
            runs[has_never].append(measured)
    grown, grown_with = (statistics.median(run.grown_mib for run in runs[has]) for has in (False, True))
    yield (
        f"{name}, one viewer never reads: memory of the server while 200 KB/s are sent",
        f"{grown_with - grown:+.1f} MiB because of it (at most 1): "
        f"it grew by {grown_with:.1f} with and {grown:.1f} without it",
    )
    unsent = max(run.unsent_kib for run in runs[True])
    yield f"{name}, one viewer never reads: bytes that the kernel kept for it, most", f"{unsent:.0f} KiB"
    yield f"{name}, one viewer never reads: its end", runs[True][-1].end
    pairs = [
        (percentile(without.delays_ms, 0.99), percentile(with_it.delays_ms, 0.99))
        for without, with_it in zip(runs[False], runs[True], strict=True)
    ]
    each = ", ".join(f"{late:.0f} to {quick:.0f}" for quick, late in pairs)
    yield (
        f"{name}, one viewer never reads: p99 of the {VIEWERS} others to that without it",
        f"{statistics.median(late / quick for quick, late in pairs):.2f}, median of {ROUNDS} pairs (at most 1.2): "
        f"{each} ms",
    )


def reads_slowly(name: str, site: LiveJob, server: Server) -> Iterator[tuple[str, str]]:
    source = site.event_source(**LIGHT)
    first = int(site.visitor.http.get(f"/jobs/{site.job}/transcript.json").json()["job"]["segments"])
    clients = site.viewers(server, VIEWERS, after=first)
    clients.wait_until_ready()
    reader = SlowReader(server, first, READ_BYTES_A_SECOND)
    reader.start()
    assert reader.is_joined.wait(20.0), f"it has no snapshot: {reader.received.end}"
    source.proceed()
    last = source.result()["seq"]
    # Finals may still be on their way to the slow viewer.
    ends_at = time.monotonic() + LATE_SECONDS
    while reader.is_alive() and last not in reader.received.finals and time.monotonic() < ends_at:
        time.sleep(0.1)
    reader.stopping.set()
    reader.join()
    stop(clients)
    received, sent = reader.received, LIGHT["seconds"] * LIGHT["partials_a_second"]
    missing = len(set(range(first + 1, last + 1)) - set(received.finals))
    order = "in order" if received.finals == sorted(set(received.finals)) else "out of order"
    yield (
        f"{name}, one viewer reads 2 KB/s: finals",
        f"{last - first - missing} of {last - first}, {order} (all){', ' + received.end if received.end else ''}",
    )
    for kind, delays in received.delays.items():
        if delays:
            yield (
                f"{name}, one viewer reads 2 KB/s: delay of {kind}s",
                f"median {percentile(delays, 0.5):.1f} s, most {max(delays):.1f} s (at most 2)",
            )
    skipped = 1 - len(received.delays["partial"]) / sent
    yield f"{name}, one viewer reads 2 KB/s: partials skipped", f"{100 * skipped:.0f} % of {sent} (at least 90 %)"


def stop(clients: Program) -> dict:  # type: ignore[type-arg]
    clients.proceed()
    seen: dict = clients.result()  # type: ignore[type-arg]
    return seen


def run() -> Iterator[tuple[str, str]]:
    with live_job() as site:
        for name, server in (("daphne", site.server()), ("uvicorn", site.uvicorn())):
            yield from reads_slowly(name, site, server)
            finals = int(site.visitor.http.get(f"/jobs/{site.job}/transcript.json").json()["job"]["segments"])
            yield from never_reads(name, site, server, finals)
