"""Messages of a worker that arrive after the end of its job was published: the feed ignores them."""

import asyncio
import json
from typing import Any

import pytest
from django.contrib.auth.models import User

from streaming import events, publisher
from streaming.db import in_thread
from streaming.jobs import lifecycle
from streaming.live import feed as feed_module
from streaming.models import Job, Status
from tests.streaming.factories import make_segments
from tests.streaming.live.test_feed import feed_of, partial, running_job, unsent

pytestmark = pytest.mark.django_db(transaction=True)


def state(job: Job) -> dict[str, Any]:
    return publisher.envelope(job.pk, job.attempt, job.segment_count, events.status(job))


async def ended(job: Job) -> Job:
    await in_thread(lifecycle.finish)(job.pk, 1, Status.FAILED, "It broke.")
    return await Job.objects.aget(pk=job.pk)


async def test_feed_ignores_messages_that_arrive_after_the_end_of_the_job(alice: User) -> None:
    job = await running_job(alice, ["one"])
    feed, subscriber = await feed_of(job)
    late = [state(job), partial(job, 1, 1, "late")]
    job = await ended(job)
    assert feed.apply(state(job))
    assert all(feed.apply(message) for message in late)
    assert [json.loads(text) for text in await unsent(feed, subscriber)] == [events.status(job)]


async def test_feed_prefers_the_stored_end_to_a_late_status(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    job = await running_job(alice, ["one"])
    feed, subscriber = await feed_of(job)
    job.position = 0.5
    late, loop, read = state(job), asyncio.get_running_loop(), feed_module.finals_between

    def read_while_it_comes(*given: Any) -> Any:
        loop.call_soon_threadsafe(feed.apply, late)
        return read(*given)

    monkeypatch.setattr(feed_module, "finals_between", read_while_it_comes)
    await in_thread(make_segments)(job, ["two"])
    job = await ended(job)
    assert not feed.apply(state(job)), "the second final is missing"
    await feed.catch_up()
    assert json.loads((await unsent(feed, subscriber))[-1]) == events.status(job)
