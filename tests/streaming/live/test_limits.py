"""The limit on the open sockets of a person in a process."""

import asyncio
from typing import Any

from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User

from streaming.db import in_thread
from streaming.live import limits
from tests.streaming.conftest import PATIENCE_SECONDS, Watching, cookie_of
from tests.streaming.live.test_consumers import closed_with, some_job
from transcribe_site.asgi import application


async def test_rejects_one_socket_too_many_and_keeps_the_others_open(
    watching: Watching, alice: User, bob: User, settings: Any
) -> None:
    settings.TRANSCRIBE_MAX_SOCKETS_A_PERSON = 2
    job = await some_job(alice, ["one"])
    async with watching(alice, job) as first, watching(alice, job) as second:
        for viewer in (first, second):
            assert (await viewer.next())["type"] == "snapshot"
        async with watching(alice, job) as third:
            assert await closed_with(third) == 1013
        async with watching(bob, job) as other:
            assert (await other.next())["type"] == "snapshot"
        await first.send(type="sync", after=0)
        assert (await first.next())["type"] == "snapshot"
    async with watching(alice, job) as again:
        assert (await again.next())["type"] == "snapshot"
    assert limits._sockets == {}


async def test_accepts_any_number_of_sockets_without_a_limit(watching: Watching, alice: User, settings: Any) -> None:
    settings.TRANSCRIBE_MAX_SOCKETS_A_PERSON = 0
    job = await some_job(alice, ["one"])
    async with watching(alice, job) as first, watching(alice, job) as second:
        for viewer in (first, second):
            assert (await viewer.next())["type"] == "snapshot"


async def test_socket_cancelled_while_it_opens_is_not_counted(transactional_db: None, alice: User) -> None:
    """A server cancels the consumer if the client disconnects while the socket opens."""
    job = await some_job(alice, ["one"])
    headers = [(b"host", b"testserver"), (b"cookie", await in_thread(cookie_of)(alice))]
    communicator = WebsocketCommunicator(application, f"/ws/jobs/{job.pk}/", headers=headers)
    await communicator.connect(timeout=PATIENCE_SECONDS)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not limits._sockets[alice.pk]:
            await asyncio.sleep(0)
    communicator.future.cancel()
    await asyncio.wait({communicator.future})
    assert limits._sockets == {}
