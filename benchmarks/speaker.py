"""Stands in for the worker that runs a job: `python -m benchmarks.speaker JOB SPEECH`, in the site's environment.

What is final is stored first and sent after, by the code that workers use. Every text begins with the moment when it
was published. Says `ready`, begins at a line of input, and prints how many finals there are now, as JSON.
"""

import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass
from uuid import UUID

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "transcribe_site.settings")
django.setup()

from django.db import transaction  # noqa: E402

from streaming import events, publisher  # noqa: E402
from streaming.db import in_thread  # noqa: E402
from streaming.jobs import lifecycle  # noqa: E402
from streaming.models import Job, Segment  # noqa: E402
from streaming.results import Result, spread_words  # noqa: E402

BATCH = 100


@dataclass
class Speech:
    """So many `seconds` of partials and finals at a steady pace, filled up to so many characters; then a `burst`."""

    seconds: float = 0.0
    partials_a_second: float = 0.0
    finals_a_second: float = 0.0
    partial_characters: int = 0
    final_characters: int = 0
    burst: int = 0  # finals as quickly as they can be stored and sent


def text(characters: int) -> str:
    said = f"at {time.time():.6f}"
    return said + " word" * ((characters - len(said)) // len(" word"))


class Speaker:
    def __init__(self, job: Job) -> None:
        self._job = job

    async def say(self, is_partial: bool, number: int, characters: int) -> None:
        said, moment = text(characters), float(number)
        if is_partial:
            await self._send(events.partial(Result(said, moment, moment + 1, is_partial=True)))
            return
        result = Result(said, moment, moment + 1, is_partial=False, words=spread_words(said, moment, moment + 1))
        seq = self._job.segment_count + 1
        segment = await in_thread(lifecycle.store_final)(self._job.pk, self._job.attempt, seq, result, moment)
        self._job.segment_count = seq
        await self._send(events.final(segment))

    async def burst(self, count: int, characters: int) -> None:
        """Store finals a hundred in a transaction, and send them."""
        for begin in range(0, count, BATCH):
            for segment in await in_thread(self._store)(min(BATCH, count - begin), characters):
                self._job.segment_count = segment.seq
                await self._send(events.final(segment))

    def _store(self, count: int, characters: int) -> list[Segment]:
        job, said = self._job, text(characters)
        segments = [
            Segment.of(
                job.pk, seq, Result(said, seq, seq + 1, is_partial=False, words=spread_words(said, seq, seq + 1))
            )
            for seq in range(job.segment_count + 1, job.segment_count + count + 1)
        ]
        with transaction.atomic():
            held = Job.objects.filter(pk=job.pk, segment_count=job.segment_count).held(job.attempt)
            assert held.update(segment_count=job.segment_count + count)
            Segment.objects.bulk_create(segments)
        return segments

    async def _send(self, event: events.Event) -> None:
        job = self._job
        message = publisher.envelope(job.pk, job.attempt, job.segment_count, event)
        assert await publisher.send(publisher.feed_group(job.pk), message), "the channel layer is away"


async def speak(job: Job, speech: Speech) -> dict[str, float]:
    """Say all of it, each at its time."""
    speaker = Speaker(job)
    await in_thread(job.refresh_from_db)()
    kinds = (
        (True, speech.partials_a_second, speech.partial_characters),
        (False, speech.finals_a_second, speech.final_characters),
    )
    plan = sorted(
        (number / rate, is_partial, characters)
        for is_partial, rate, characters in kinds
        for number in range(round(speech.seconds * rate))
    )
    await publisher.send("nobody", {})  # the connection is made before the first moment is told
    print("ready", flush=True)
    sys.stdin.readline()
    began_at = time.time()
    for number, (due, is_partial, characters) in enumerate(plan):
        await asyncio.sleep(max(0.0, began_at + due - time.time()))
        await speaker.say(is_partial, number, characters)
    await speaker.burst(speech.burst, speech.final_characters)
    return {"began_at": began_at, "took": time.time() - began_at, "seq": job.segment_count}


if __name__ == "__main__":
    job = Job(pk=UUID(sys.argv[1]))
    print(json.dumps(asyncio.run(speak(job, Speech(**json.loads(sys.argv[2]))))))
