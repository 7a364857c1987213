"""Connections cut and workers killed at random points: the transcript stays the same, and no audio is billed twice."""

import asyncio
import math
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from streaming.db import in_thread
from streaming.engines.aws.engine import AwsEngine
from streaming.engines.base import Request
from streaming.jobs import lifecycle, queue
from streaming.models import Job, Status
from streaming.results import Result
from streaming.spool import open_spool_of_file
from streaming.worker.attempt import Attempt
from streaming.worker.retry import transcribe_with_retries
from tests.standin import Fault, Record, Service
from tests.streaming.conftest import PATIENCE_SECONDS, numbers
from tests.streaming.engines.aws.conftest import WORD_SECONDS, Point, expected_words, finals, sent_seconds, spoken
from uploads.models import Upload

RATE = 50.0
COUNT = 500  # words: a little over four minutes
CUTS = 25  # per seed; in all 100 cuts and 100 kills
MOST_SECONDS = 6.0  # of audio before a kill, so that even a fast machine has audio left for all kills


def assert_sent_again_only_what_was_not_final(service: Service, final_until: list[float]) -> None:
    """Each stream begins at the end of the finals before it, or at most a second earlier. The last sends the rest."""
    for request, until in zip(service.requests, final_until, strict=True):
        if request.numbers:
            number, time = request.numbers[0]
            assert number * WORD_SECONDS - time >= until - 1.0
    assert sent_seconds(service.requests[-1]) <= COUNT * WORD_SECONDS - final_until[-1] + 1.0


@pytest.mark.parametrize("seed", range(1, 5))
async def test_every_word_arrives_once_after_cuts_at_random_points(point: Point, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    async with Service(rate=RATE, seed=seed) as service:
        point(service)
        service.faults = [
            chance.choice(
                [
                    Fault("cut", at=chance.uniform(0.0, 10.0)),
                    Fault("cut_at_byte", count=chance.randrange(20_000)),
                    Fault("close", at=chance.uniform(0.0, 10.0)),
                ]
            )
            for _ in range(CUTS)
        ]
        results: list[Result] = []
        final_until: list[float] = []
        async with open_spool_of_file(numbers(tmp_path / "a.wav", COUNT), 16_000, tmp_path) as spool:
            async for result in transcribe_with_retries(Noting(service, final_until), spool, Request("en-US")):
                results.append(result)
        assert spoken(results) == expected_words(COUNT)
        assert not any(final.is_provisional for final in finals(results))
        assert len(service.requests) == CUTS + 1
        assert service.billed_seconds <= math.ceil(COUNT * WORD_SECONDS) + 15 * CUTS
        assert_sent_again_only_what_was_not_final(service, final_until)


class Noting(AwsEngine):
    """Records for each stream up to which time everything was final when it was requested."""

    def __init__(self, service: Service, final_until: list[float]) -> None:
        self._service = service
        self._final_until = final_until

    def transcribe(self, audio, request):  # type: ignore[no-untyped-def]
        self._final_until.append(request.start_time)
        return super().transcribe(audio, request)


@pytest.mark.parametrize("seed", range(1, 5))
async def test_every_word_is_stored_once_after_workers_are_killed_at_random_points(
    point: Point, tmp_path: Path, spoken: Callable[..., Upload], transactional_db: None, seed: int
) -> None:
    chance = random.Random(seed)
    async with Service(rate=RATE, seed=seed) as service:
        point(service)
        job, _ = await in_thread(lifecycle.start)(await in_thread(spoken)(COUNT), engine="aws")
        kills = 0
        final_until: list[float] = []
        async with asyncio.timeout(2 * PATIENCE_SECONDS):
            while (await Job.objects.aget(pk=job.pk)).status != Status.COMPLETED:
                claimed = await in_thread(queue.claim_next)("a worker")
                if claimed is None:  # a thread of the killed worker still locks the row
                    await asyncio.sleep(0.02)
                    continue
                attempt = Attempt(claimed, Noting(service, final_until), tmp_path, lambda group, message: None)
                running = asyncio.create_task(attempt.run())
                # A killed worker does not release its job: the lease expires.
                if kills < CUTS:
                    # Half of the kills come after a random time, the other half in the middle of a stream.
                    seconds = chance.choice([chance.uniform(0.1, 0.5), None])
                    await until_killed(service, seconds, chance.uniform(0.5, MOST_SECONDS))
                    kills += 1
                    running.cancel()
                    await asyncio.wait({running})
                    past = timezone.now() - timedelta(seconds=1)
                    await Job.objects.filter(pk=job.pk, status=Status.RUNNING).aupdate(lease_expires_at=past)
                await asyncio.wait({running})
        stored = [segment async for segment in job.segments.order_by("seq")]
        words = [(int(word["text"].strip("w.")), word["start_time"]) for segment in stored for word in segment.words]
        assert words == expected_words(COUNT)
        assert [segment.seq for segment in stored] == [*range(1, len(stored) + 1)]
        assert (await Job.objects.aget(pk=job.pk)).status == Status.COMPLETED
        assert kills == CUTS
        assert len(service.requests) - 1 <= kills
        # A worker killed early had not opened its stream yet.
        asked = iter(final_until)
        began = [until for request in service.requests if (until := next_start(request, asked)) is not None]
        assert_sent_again_only_what_was_not_final(service, began)


async def until_killed(service: Service, seconds: float | None, sound_seconds: float) -> None:
    """Wait for a time, or until the next stream has sent this much audio."""
    stream = len(service.requests)
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while len(service.requests) == stream or service.requests[stream].audio_seconds < sound_seconds:
                await asyncio.sleep(0.005)


def next_start(request: Record, final_until: Iterator[float]) -> float:
    """Return the first of these moments that can be the request of this stream."""
    if not request.numbers:
        return 0.0
    number, time = request.numbers[0]
    return next(until for until in final_until if until >= number * WORD_SECONDS - time - 1.0)
