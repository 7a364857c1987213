"""Takes the place of the worker that runs a job, and publishes partials and finals at a given rate.

`python -m benchmarks.event_source JOB SCHEDULE` runs in the site's environment. It stores each final before it sends
it, with the code that workers use. Each text begins with the time at which it was published. The program prints
`ready`, starts after a line of input, and prints the number of finals that the job has then, as JSON.
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
class Schedule:
    """So many `seconds` of partials and finals at a steady rate, padded to so many characters; then a `burst`."""

    seconds: float = 0.0
    partials_a_second: float = 0.0
    finals_a_second: float = 0.0
    partial_characters: int = 0
    final_characters: int = 0
    burst: int = 0  # finals, stored and sent as quickly as possible


def text(characters: int) -> str:
    begin = f"at {time.time():.6f}"
    return begin + " word" * ((characters - len(begin)) // len(" word"))


class EventSource:
    def __init__(self, job: Job) -> None:
        self._job = job

    async def publish(self, is_partial: bool, number: int, characters: int) -> None:
        content, moment = text(characters), float(number)
        if is_partial:
            await self._send(events.partial(Result(content, moment, moment + 1, is_partial=True)))
            return
        result = Result(content, moment, moment + 1, is_partial=False, words=spread_words(content, moment, moment + 1))
        seq = self._job.segment_count + 1
        segment = await in_thread(lifecycle.store_final)(self._job.pk, self._job.attempt, seq, result, moment)
        self._job.segment_count = seq
        await self._send(events.final(segment))

    async def burst(self, count: int, characters: int) -> None:
        """Store finals, a hundred in a transaction, and send them."""
        for begin in range(0, count, BATCH):
            for segment in await in_thread(self._store)(min(BATCH, count - begin), characters):
                self._job.segment_count = segment.seq
                await self._send(events.final(segment))

    def _store(self, count: int, characters: int) -> list[Segment]:
        job, content = self._job, text(characters)
        segments = [
            Segment.of(
                job.pk, seq, Result(content, seq, seq + 1, is_partial=False, words=spread_words(content, seq, seq + 1))
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


async def run(job: Job, schedule: Schedule) -> dict[str, float]:
    """Publish each event at its time. Returns the start time, the duration and the number of finals."""
    source = EventSource(job)
    await in_thread(job.refresh_from_db)()
    kinds = (
        (True, schedule.partials_a_second, schedule.partial_characters),
        (False, schedule.finals_a_second, schedule.final_characters),
    )
    plan = sorted(
        (number / rate, is_partial, characters)
        for is_partial, rate, characters in kinds
        for number in range(round(schedule.seconds * rate))
    )
    await publisher.send("no-members", {})  # connects before the first event is timed
    print("ready", flush=True)
    sys.stdin.readline()
    began_at = time.time()
    for number, (due, is_partial, characters) in enumerate(plan):
        await asyncio.sleep(max(0.0, began_at + due - time.time()))
        await source.publish(is_partial, number, characters)
    await source.burst(schedule.burst, schedule.final_characters)
    return {"began_at": began_at, "took": time.time() - began_at, "seq": job.segment_count}


if __name__ == "__main__":
    job = Job(pk=UUID(sys.argv[1]))
    print(json.dumps(asyncio.run(run(job, Schedule(**json.loads(sys.argv[2]))))))
