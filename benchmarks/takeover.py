"""Workers are killed (-9) while they run a job: the time until another worker resumes it, and the audio sent twice.

Runs on PostgreSQL with Redis, leases of five seconds and the stand-in in real time. First each worker has a folder of
its own, as on two machines, where only the lease shows that a worker is dead. Then they share one, as on one machine.
"""

import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.live_job import percentile
from benchmarks.observers import Viewer, standin
from streaming.engines.scripted import WORD_SECONDS
from tests.postgres import Postgres
from tests.recordings import numbers
from tests.servers import Redis
from tests.site import Site, wait_until
from tests.standin.service import Service
from tests.visitor import Visitor

TIMES = {"on another machine": 20, "on the same machine": 10}
LEASE_SECONDS = 5
WORDS = 1_200  # ten minutes of audio: more than the benchmark takes
SEED = 1
QUICK = {"TIMES": {"on another machine": 1, "on the same machine": 1}, "LEASE_SECONDS": 2, "WORDS": 120}


@dataclass
class Workers:
    """Two workers, and the processes of the site around them."""

    folders: list[Path]
    environ: dict[str, str]
    sites: list[Site] = field(default_factory=list)

    def start(self, index: int) -> None:
        """Start a worker, and return when it polls for work."""
        locks = self.folders[index] / "workers"
        before = set(locks.glob("*/lock"))
        self.sites[index].start_worker()
        wait_until(lambda: set(locks.glob("[!n]*/lock")) - before, 60, "the start of a worker")


@dataclass
class Takeover:
    claim_seconds: float
    words_seconds: float
    again_seconds: float  # of audio that was sent again although it had become final
    unfinal_seconds: float  # of audio that was sent and had not become final


def begin_of(service: Service, index: int) -> float:
    """Return the time in the recording at which a stream began."""
    wait_until(lambda: len(service.requests) > index and service.requests[index].numbers, 60, "words of the stream")
    number, start = service.requests[index].numbers[0]
    return number * WORD_SECONDS - start


def kill(workers: Workers, running: int, viewer: Viewer, service: Service, postgres: Postgres) -> Takeover:
    """Kill the worker that runs the job; return the times of its takeover."""
    stream, claims = len(service.requests) - 1, len(viewer.claims)
    workers.sites[running].kill()
    killed = time.monotonic()
    ((final_until,),) = postgres.execute("select resume_time from streaming_job", "bench")
    wait_until(lambda: len(viewer.claims) > claims and viewer.words[claims], 60, "another worker's words")
    sent_until = begin_of(service, stream) + service.requests[stream].audio_seconds
    began = begin_of(service, stream + 1)
    return Takeover(
        viewer.claims[claims] - killed,
        viewer.words[claims] - killed,
        max(0.0, final_until - began),
        sent_until - final_until,
    )


def takeovers(where: str, folder: Path, stack: ExitStack) -> list[Takeover]:
    postgres, redis = stack.enter_context(Postgres()), Redis()
    redis.start()
    stack.callback(redis.kill)
    service = stack.enter_context(standin())
    environ = {
        **service.environ,
        "DATABASE_URL": postgres.create_database("bench"),
        "REDIS_URL": redis.url,
        "TRANSCRIBE_ENGINE": "aws",
        "TRANSCRIBE_LEASE_SECONDS": str(LEASE_SECONDS),
    }
    web = Site(folder, environ | {"TRANSCRIBE_RUN_JOBS": "0"})
    web.manage("migrate", "--verbosity", "0")
    web.manage("collectstatic", "--noinput", "--verbosity", "0")
    web.manage("ensure_admin")
    web.start()
    stack.callback(web.stop)
    folders = [folder, folder]
    if where == "on another machine":
        folders = [folder / "first", folder / "second"]
        for each in folders:
            each.mkdir()
            (each / "media").symlink_to(folder / "media")
    workers = Workers(folders, environ, [Site(each, environ) for each in folders])
    for index, site in enumerate(workers.sites):
        workers.start(index)
        stack.callback(site.stop)
    visitor = stack.enter_context(Visitor(web))
    job = visitor.start(visitor.upload(numbers(folder / "numbers.wav", WORDS)))
    viewer = Viewer(visitor, job)
    stack.callback(viewer.socket.close)
    viewer.start()
    wait_until(lambda: viewer.words and viewer.words[-1], 60, "the first words")
    chance, found = random.Random(SEED), []
    for _ in range(TIMES[where]):
        time.sleep(chance.uniform(1.0, 4.0))  # at any place within the lease and between two finals
        running = holder(postgres, workers)
        found.append(kill(workers, running, viewer, service, postgres))
        workers.start(running)
    check(visitor, job)
    return found


def holder(postgres: Postgres, workers: Workers) -> int:
    """Return the index of the worker that runs the job: its process has the lock file open."""
    ((name,),) = postgres.execute("select worker from streaming_job", "bench")
    for index, site in enumerate(workers.sites):
        assert site.process is not None
        files = Path(f"/proc/{site.process.pid}/fd").iterdir()
        if any(f"/{name}/" in str(file.readlink()) or f"new-{name}/" in str(file.readlink()) for file in files):
            return index
    raise AssertionError(f"{name} is not one of the two workers")


def check(visitor: Visitor, job: str) -> None:
    """Check that each word so far is there once and in order."""
    segments = visitor.http.get(f"/jobs/{job}/transcript.json").json()["segments"]
    numbers_found = [int(word["text"].strip("w.")) for segment in segments for word in segment["words"]]
    assert numbers_found == [*range(len(numbers_found))], numbers_found


def run() -> Iterator[tuple[str, str]]:
    for where, times in TIMES.items():
        with tempfile.TemporaryDirectory(prefix="transcribe-bench-") as folder, ExitStack() as stack:
            found = takeovers(where, Path(folder), stack)
        claims = [each.claim_seconds for each in found]
        words = [each.words_seconds for each in found]
        again, unfinal = [each.again_seconds for each in found], [each.unfinal_seconds for each in found]
        yield (
            f"{where}, {times} times: kill -9 to another worker's claim",
            f"median {percentile(claims, 0.5):.1f} s, p95 {percentile(claims, 0.95):.1f} s "
            f"(at most {LEASE_SECONDS + 2}), most {max(claims):.1f} s",
        )
        yield f"{where}: to its first words", f"median {percentile(words, 0.5):.1f} s, most {max(words):.1f} s"
        yield (
            f"{where}: final audio sent again",
            f"median {percentile(again, 0.5):.2f} s, most {max(again):.2f} s (at most 1); "
            f"sent and not yet final: median {percentile(unfinal, 0.5):.1f} s",
        )
