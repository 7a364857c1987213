"""The in-memory channel layer in a process that has run for more than a day: every message still arrives at once."""

import asyncio
import time
from types import SimpleNamespace

import pytest
from channels import layers
from django.contrib.auth.models import User
from pytest_django import Settings

from streaming.db import in_thread
from streaming.jobs import lifecycle
from streaming.live import hub
from streaming.models import Status
from streaming.worker import runner
from tests.streaming.conftest import LONG_LEASE_SECONDS, PATIENCE_SECONDS, Running, Watching
from tests.streaming.gated_engine import AllowWords
from tests.streaming.worker.test_runner import Spoken, start, until, until_status

DAY_SECONDS = 25 * 3600.0


async def test_messages_still_arrive_at_once_after_a_day(
    alice: User,
    running: Running,
    watching: Watching,
    spoken: Spoken,
    allow_words: AllowWords,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Only messages can arrive in time: the polls of the database and the heartbeats are too rare.
    settings.TRANSCRIBE_LEASE_SECONDS = LONG_LEASE_SECONDS
    for module in (runner, hub):
        monkeypatch.setattr(module, "POLL_SECONDS", LONG_LEASE_SECONDS)
    upload = await in_thread(spoken)(30)
    async with running() as worker, watching(alice, await start(upload)) as viewer:
        allow_words(6)
        await viewer.until(lambda viewer: viewer.seq == 1 and viewer.partials)
        now = time.time() + DAY_SECONDS
        monkeypatch.setattr(layers, "time", SimpleNamespace(time=lambda: now))

        job_id = viewer.job["id"]
        first = await until(await lifecycle.Job.objects.aget(pk=job_id), lambda now: now.segment_count == 1)
        async with watching(alice, first) as late:
            await late.until(lambda late: late.partials)
        allow_words(2)
        await viewer.until(lambda viewer: viewer.seq == 2)
        second = await start(upload)
        await until_status(second, Status.RUNNING)
        await in_thread(lifecycle.cancel)(first)
        await viewer.until_status("cancelled")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while first.pk in worker._attempts:
                await asyncio.sleep(0.01)


async def test_message_older_than_a_day_does_not_end_the_subscription(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layer = layers.get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add("group", channel)
    await layer.group_send("group", {"type": "before"})
    now = time.time() + DAY_SECONDS
    monkeypatch.setattr(layers, "time", SimpleNamespace(time=lambda: now))
    await layer.group_send("group", {"type": "after"})
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert [await layer.receive(channel) for _ in range(2)] == [{"type": "before"}, {"type": "after"}]
