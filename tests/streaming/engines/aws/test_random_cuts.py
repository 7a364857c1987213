"""Cut and killed at random points, a transcript is the same as without; and it costs what it must."""

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
from tests.streaming.engines.aws.conftest import WORD_SECONDS, Point, finals, said, sent_seconds, spoken
from uploads.models import Upload

RATE = 50.0
COUNT = 500  # words: a little over four minutes
CUTS = 25  # for each seed: together 100 cuts and 100 kills
MOST_SECONDS = 6.0  # of sound before a kill, so that on a fast machine too there is sound for all of them


def assert_sent_again_only_what_was_not_final(service: Service, final_until: list[float]) -> None:
    """Every stream begins where what was final had ended (at most a second before); the last sends only the rest."""
    for request, until in zip(service.requests, final_until, strict=True):
        if request.numbers:
            number, time = request.numbers[0]
            assert number * WORD_SECONDS - time >= until - 1.0
    assert sent_seconds(service.requests[-1]) <= COUNT * WORD_SECONDS - final_until[-1] + 1.0


@pytest.mark.parametrize("seed", range(1, 5))
async def test_cut_at_random_points_every_word_comes_once(point: Point, tmp_path: Path, seed: int) -> None:
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
        assert spoken(results) == said(COUNT)
        assert not any(final.is_provisional for final in finals(results))
        assert len(service.requests) == CUTS + 1
        assert service.billed_seconds <= math.ceil(COUNT * WORD_SECONDS) + 15 * CUTS
        assert_sent_again_only_what_was_not_final(service, final_until)


class Noting(AwsEngine):
    """Notes for each stream up to where all was final when it was asked for."""

    def __init__(self, service: Service, final_until: list[float]) -> None:
        self._service = service
        self._final_until = final_until

    def transcribe(self, audio, request):  # type: ignore[no-untyped-def]
        self._final_until.append(request.start_time)
        return super().transcribe(audio, request)


@pytest.mark.parametrize("seed", range(1, 5))
async def test_killed_at_random_points_every_word_is_stored_once(
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
                if claimed is None:  # a thread of the worker that was killed still holds the row
                    await asyncio.sleep(0.02)
                    continue
                attempt = Attempt(claimed, Noting(service, final_until), tmp_path, lambda group, message: None)
                running = asyncio.create_task(attempt.run())
                # A worker that was killed gives nothing back: its lease runs out.
                if kills < CUTS:
                    # Half of them after some time, wherever the worker is then, and half in the middle of a stream.
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
        assert words == said(COUNT)
        assert [segment.seq for segment in stored] == [*range(1, len(stored) + 1)]
        assert (await Job.objects.aget(pk=job.pk)).status == Status.COMPLETED
        assert kills == CUTS
        assert len(service.requests) - 1 <= kills
        # A worker that was killed early had not asked for its stream yet.
        asked = iter(final_until)
        began = [until for request in service.requests if (until := next_start(request, asked)) is not None]
        assert_sent_again_only_what_was_not_final(service, began)


async def until_killed(service: Service, seconds: float | None, sound_seconds: float) -> None:
    """Wait so long, or until the next stream has got so far."""
    stream = len(service.requests)
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while len(service.requests) == stream or service.requests[stream].audio_seconds < sound_seconds:
                await asyncio.sleep(0.005)


def next_start(request: Record, final_until: Iterator[float]) -> float:
    """Return the next of these moments at which a stream was asked for that may be this one."""
    if not request.numbers:
        return 0.0
    number, time = request.numbers[0]
    return next(until for until in final_until if until >= number * WORD_SECONDS - time - 1.0)
