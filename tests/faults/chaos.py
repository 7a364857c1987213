"""Runs rounds of random faults: jobs run and viewers watch while processes are killed, frozen and restarted.

At the end of a round every job must be complete, with each word once, in order and at its time, and every viewer must
have the same finals as the database. The same seed makes the same random choices.
"""

import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.faults.cluster import Cluster, cluster
from tests.faults.viewers import Viewer
from tests.recordings import numbers
from tests.visitor import Visitor

WORD_SECONDS = 0.5
Fault = Callable[[], None]


@dataclass(frozen=True)
class Size:
    """The size of a round. Each recording has `words` words, two a second; faults happen for `seconds` seconds."""

    jobs: int
    viewers: int
    words: int
    webs: int
    workers: int
    seconds: float


FULL = Size(jobs=20, viewers=40, words=200, webs=2, workers=3, seconds=20.0)
ONE = Size(jobs=6, viewers=12, words=200, webs=1, workers=0, seconds=20.0)
SHORT_ONE = Size(jobs=3, viewers=6, words=120, webs=1, workers=0, seconds=8.0)
SHORT = Size(jobs=6, viewers=12, words=120, webs=2, workers=2, seconds=10.0)

MAX_SECONDS = 240.0  # the limit of a round


def fault(
    chance: random.Random, cluster: Cluster, restart_database: Callable[[], None] | None
) -> tuple[str, Callable[[], None]]:
    """Choose the next fault. Returns its name and a function that causes it."""
    web = chance.randrange(len(cluster.webs))
    faults: dict[str, Fault] = {
        "kill a web process": lambda: cluster.kill_web(web),
    }
    if cluster.workers:
        worker = chance.randrange(len(cluster.workers))
        seconds = chance.uniform(0.1, 3.0)
        faults |= {
            "kill a worker": lambda: cluster.kill_worker(worker),
            "stop a worker": lambda: cluster.stop_worker(worker),
            "freeze a worker": lambda: cluster.freeze(cluster.workers[worker]),
            "restart Redis": lambda: cluster.restart_redis(seconds),
        }
    else:
        faults |= {
            "stop the process": lambda: cluster.stop_web(web),
            "freeze the process": lambda: cluster.freeze(cluster.webs[web]),
        }
    if restart_database is not None:
        faults["restart the database"] = restart_database
    names = [*faults, "kill a worker" if cluster.workers else "kill a web process"]  # twice as likely as the others
    name = chance.choice(names)
    return name, faults[name]


async def run_round(
    seed: int,
    database_url: str,
    restart_database: Fault | None,
    size: Size,
) -> str:
    """Run a round and return a line that summarises it. Raises AssertionError if a job or a viewer is wrong."""
    jobs, viewers, words = size.jobs, size.viewers, size.words
    chance = random.Random(seed)
    happened: Counter[str] = Counter()
    with (
        tempfile.TemporaryDirectory(prefix="faults-") as folder,
        cluster(Path(folder), database_url, webs=size.webs, workers=size.workers) as made,
    ):
        with Visitor(made.webs[0]) as visitor:
            upload = await asyncio.to_thread(visitor.upload, numbers(Path(folder) / "numbers.wav", words))
            ids = [await asyncio.to_thread(visitor.start, upload) for _ in range(jobs)]
            session = visitor.http.cookies["sessionid"]
        watching = [
            Viewer(made, session, ids[index % jobs], random.Random(chance.random())) for index in range(viewers)
        ]
        began = time.monotonic()
        tasks = [asyncio.create_task(viewer.watch()) for viewer in watching]
        try:
            async with asyncio.timeout(MAX_SECONDS):
                while not all(task.done() for task in tasks):
                    await asyncio.sleep(chance.uniform(0.5, 3.0))
                    if time.monotonic() - began < size.seconds:
                        name, happen = fault(chance, made, restart_database)
                        happened[name] += 1
                        await asyncio.to_thread(happen)
        except TimeoutError:
            raise AssertionError(f"seed {seed}: unfinished after {MAX_SECONDS} s, {states(watching)}") from None
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        took = time.monotonic() - began
        transcripts = await asyncio.to_thread(stored, made, session, ids)
    check(seed, words, ids, watching, transcripts)
    faults = ", ".join(f"{count}x {name}" for name, count in sorted(happened.items()))
    return f"seed {seed}: {took:.0f} s, {faults}, {sum(viewer.cuts for viewer in watching)} viewers cut"


def states(viewers: list[Viewer]) -> str:
    return ", ".join(f"{count} {status or 'not seen'}" for status, count in Counter(v.status for v in viewers).items())


def stored(made: Cluster, session: str, ids: list[str]) -> dict[str, dict]:  # type: ignore[type-arg]
    """Return the transcript of each job as JSON."""
    with httpx.Client(base_url=made.webs[0].url, cookies={"sessionid": session}, timeout=60) as http:
        answers = {pk: http.get(f"/jobs/{pk}/transcript.json") for pk in ids}
    bad = [answer for answer in answers.values() if answer.status_code != 200]
    assert not bad, f"{bad[0]}\n{made.webs[0].log()[-3000:]}"
    return {pk: answer.json() for pk, answer in answers.items()}


def check(seed: int, words: int, ids: list[str], viewers: list[Viewer], transcripts: dict[str, dict]) -> None:  # type: ignore[type-arg]
    expected = [(number, number * WORD_SECONDS) for number in range(words)]
    for pk in ids:
        transcript = transcripts[pk]
        assert transcript["job"]["status"] == "completed", f"seed {seed}: {transcript['job']}"
        segments = sorted(transcript["segments"], key=lambda segment: segment["seq"])
        assert [segment["seq"] for segment in segments] == [*range(1, len(segments) + 1)], f"seed {seed}: {pk}"
        found = [(int(word["text"].strip("w.")), word["start_time"]) for s in segments for word in s["words"]]
        wrong = [pair for pair in found if pair not in expected]
        assert found == expected, f"seed {seed}: job {pk} has {wrong or len(found)}"
    for viewer in viewers:
        assert viewer.wrong == [], f"seed {seed}: {viewer.wrong}"
        mine = {segment["seq"]: segment for segment in transcripts[viewer._job_id]["segments"]}
        assert viewer.finals == mine, f"seed {seed}: a viewer of {viewer._job_id} has other finals than the database"
