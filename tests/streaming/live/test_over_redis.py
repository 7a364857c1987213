"""Two viewers of a running job over the Redis channel layer."""

import asyncio

import pytest
from django.contrib.auth.models import User

from streaming.db import in_thread
from streaming.models import Status
from tests.streaming.conftest import Running, Watching, words
from tests.streaming.worker.test_runner import SLOW, Spoken, start, until_status

pytestmark = pytest.mark.django_db(transaction=True)


async def test_early_and_late_viewers_get_equal_finals_over_redis(
    running: Running, watching: Watching, spoken: Spoken, alice: User, over_redis: str
) -> None:
    job = await start(await in_thread(spoken)(40), **SLOW)
    async with running(), watching(alice, job) as early:
        await early.until(lambda viewer: viewer.seq >= 3)
        async with watching(alice, job) as late:
            await asyncio.gather(early.until_status("completed"), late.until_status("completed"))
            assert early.words == late.words == words(40)
            assert early.finals == late.finals
    await until_status(job, Status.COMPLETED)
