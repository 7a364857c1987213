"""CPU, memory and latency of the engine for Amazon Transcribe on the stand-in, compared with the SDK's own example."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from websockets.asyncio.client import connect

from benchmarks.site import memory_mib, served
from streaming.engines.scripted import WORD_SECONDS, encode_number
from tests.recordings import numbers as recording_of_numbers
from tests.site import Site, wait_until
from tests.standin.process import standin
from tests.visitor import Visitor, rows

SECONDS = 20
SETTLE_SECONDS = 3.0
MANY = ("--quota", "1000")
PAIRS = 3
STREAMS = (25, 200)
WHOLE_JOBS = ((1, 60), (200, 120))  # (how many at once, seconds of each)
LATENCY_JOBS, LATENCY_SECONDS = 50, 30
QUICK = {
    "SECONDS": 2,
    "SETTLE_SECONDS": 0.0,
    "PAIRS": 1,
    "STREAMS": (3,),
    "WHOLE_JOBS": ((2, 4),),
    "LATENCY_JOBS": 2,
    "LATENCY_SECONDS": 4,
}


def numbers(path: Path, seconds: int, first: int = 0) -> Path:
    count = round(seconds / WORD_SECONDS)
    path.write_bytes(b"".join(encode_number(number).tobytes() for number in range(first, first + count)))
    return path


def measure(way: str, streams: int, environ: dict[str, str], path: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.streams", way, str(streams), str(SECONDS), str(path)]
    run = subprocess.run(command, env=os.environ | environ, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(run.stdout)
    assert figures["words"] == SECONDS / WORD_SECONDS, "a word is missing"
    return figures


def transport() -> Iterator[tuple[str, str]]:
    with tempfile.TemporaryDirectory() as folder, standin(*MANY) as environ:
        path = numbers(Path(folder) / "numbers.pcm", SECONDS)
        pairs = [(measure("sdk", 1, environ, path), measure("ours", 1, environ, path)) for _ in range(PAIRS)]
        plain, own = sorted(pairs, key=lambda pair: pair[0]["cores"] / pair[1]["cores"])[PAIRS // 2]
        yield "one stream, the SDK's example", f"{plain['cores']:.3f} cores"
        yield "one stream, ours", f"{own['cores']:.3f} cores"
        yield f"the example's to ours, median of {PAIRS} pairs", f"{plain['cores'] / own['cores']:.0f} (at least 20)"
        for streams in STREAMS:
            many = measure("ours", streams, environ, path)
            yield (
                f"{streams} streams, ours",
                f"{many['cores']:.3f} cores, {many['ms_a_stream_second']:.2f} ms a stream-second, "
                f"lag p99 {many['lag_p99_ms']:.1f} ms, {many['took']:.1f} s",
            )
        plain = measure("sdk", STREAMS[0], environ, path)
        yield (
            f"{STREAMS[0]} streams, the SDK's example",
            f"{plain['cores']:.3f} cores, lag p99 {plain['lag_p99_ms']:.1f} ms",
        )


@contextmanager
def site(environ: dict[str, str], jobs: int) -> Iterator[tuple[Site, Visitor]]:
    """A served site whose default engine is Amazon's, on the stand-in."""
    ours = {
        "TRANSCRIBE_ENGINE": "aws",
        "TRANSCRIBE_MAX_JOBS": str(jobs),
        "TRANSCRIBE_AWS_MAX_STREAMS": "1000",
    }
    with served(environ | ours) as (site, visitor):
        yield site, visitor


def wait_for_waveforms(site: Site) -> None:
    """Wait until the waveforms are made. Their work begins after each upload, and must not be measured too."""
    waiting = "select count(*) from uploads_upload where peaks is null"
    wait_until(lambda: rows(site, waiting) == [(0,)], 120, "the waveforms")


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and of the children that it has reaped."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def whole_jobs(streams: int, seconds: int) -> Iterator[tuple[str, str]]:
    """Measure jobs from the upload to the last final: decoding, engine, database and publishing."""
    with (
        tempfile.TemporaryDirectory() as folder,
        standin(*MANY, "--words-per-final", "12") as environ,
        site(environ, streams) as (served_site, visitor),
    ):
        upload = visitor.upload(recording_of_numbers(Path(folder) / "numbers.wav", round(seconds / WORD_SECONDS)))
        wait_for_waveforms(served_site)
        pid = served_site.process.pid  # type: ignore[union-attr]
        before = cpu_seconds(pid)
        for _ in range(streams):
            visitor.start(upload)
        memory, steady = 0.0, []
        while (states := rows(served_site, "select status, count(*) from streaming_job group by status")) != [
            ("completed", streams)
        ]:
            assert not any(status == "failed" for status, _ in states), states
            now = time.monotonic()
            memory = max(memory, sum(memory_mib(pid).values()))
            if dict(states).get("running") == streams:
                steady.append((now, cpu_seconds(pid)))
            time.sleep(1.0)
        used = cpu_seconds(pid) - before
        took = rows(
            served_site,
            "select (julianday(finished_at) - julianday(started_at)) * 86400 - duration from streaming_job",
        )
        lags = sorted(row[0] for row in took)
        counted = rows(served_site, "select min(word_count), max(word_count) from streaming_job")
    assert counted == [(seconds / WORD_SECONDS, seconds / WORD_SECONDS)], counted
    name = f"{streams} whole job{'s' if streams > 1 else ''} of {seconds} s"
    yield f"{name}, with its decoder", f"{1000 * used / (streams * seconds):.1f} ms of CPU a stream-second"
    if len(steady) > 2:
        (first, used_first), (last, used_last) = steady[0], steady[-1]
        cores = (used_last - used_first) / (last - first)
        yield f"{name}, while all run", f"{cores:.2f} cores, {1000 * cores / streams:.2f} ms of CPU a stream-second"
    yield f"{name}, memory of all, most", f"{memory:.0f} MiB"
    yield f"{name}, longer than the recording", f"median {lags[len(lags) // 2]:.1f} s, most {lags[-1]:.1f} s"


def latency(streams: int, seconds: int) -> Iterator[tuple[str, str]]:
    """Measure the time from the service's event to the viewer's socket."""
    with tempfile.TemporaryDirectory() as folder:
        sent_file = Path(folder) / "events"
        count = round(seconds / WORD_SECONDS)
        with standin(*MANY, "--events", str(sent_file)) as environ, site(environ, streams) as (_, visitor):
            # Each job has numbers of its own, so that an event can be recognised.
            uploads = [
                visitor.upload(recording_of_numbers(Path(folder) / f"{first}.wav", count, first))
                for first in range(0, streams * count, count)
            ]
            wait_for_waveforms(visitor.site)
            joined_at, seen = asyncio.run(watch_all(visitor, [visitor.start(upload) for upload in uploads]))
        sent: dict[int, list[float]] = {}
        for line in sent_file.read_text().splitlines():
            moment, number = line.split()
            sent.setdefault(int(number), []).append(float(moment))
    # Only events after all jobs were running and watched count: the start of fifty jobs is measured elsewhere. If a
    # number ends several events, its first event is compared with the first that the viewer received.
    settled_at = joined_at + SETTLE_SECONDS
    wanted = {number: moments[0] for number, moments in sent.items() if moments[0] > settled_at}
    delays = sorted(seen[number] - moment for number, moment in wanted.items())
    assert len(delays) > streams * count / 2
    yield (
        f"from the service's event to the viewer, {streams} jobs with a viewer each",
        f"median {1000 * delays[len(delays) // 2]:.1f} ms, p99 {1000 * delays[int(len(delays) * 0.99)]:.1f} ms, "
        f"most {1000 * delays[-1]:.1f} ms (p99 at most 50)",
    )


async def watch_all(visitor: Visitor, jobs: list[str]) -> tuple[float, dict[int, float]]:
    """Watch jobs to their ends. Returns when all were watched, and for each number when a socket first received it."""
    seen: dict[int, float] = {}
    joined: list[float] = []

    async def watch(job: str) -> None:
        url = f"{visitor.site.url.replace('http', 'ws', 1)}/ws/jobs/{job}/"
        cookie = {"Cookie": f"sessionid={visitor.http.cookies['sessionid']}"}
        async with connect(url, additional_headers=cookie, origin=visitor.site.url, max_size=None) as socket:
            joined.append(time.monotonic())
            async for message in socket:
                now = time.monotonic()
                event = json.loads(message)
                if event["type"] in ("partial", "final"):
                    text = event["text"] if event["type"] == "partial" else event["segment"]["text"]
                    seen.setdefault(int(text.split()[-1].strip("w.")), now)
                elif event["job"]["status"] == "completed":
                    return
                else:
                    assert event["job"]["status"] in ("queued", "running"), event

    await asyncio.gather(*map(watch, jobs))
    return max(joined), seen


def run() -> Iterator[tuple[str, str]]:
    yield from transport()
    for streams, seconds in WHOLE_JOBS:
        yield from whole_jobs(streams, seconds)
    yield from latency(LATENCY_JOBS, LATENCY_SECONDS)
