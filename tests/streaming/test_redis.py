"""Redis and the way to it fail while a job is watched: the job goes on, and the viewers lose nothing."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress

import pytest
import redis
from channels.layers import channel_layers, get_channel_layer
from django.contrib.auth.models import User
from pytest_django import Settings

from streaming import broadcast, feeds, jobs, outbox
from streaming.database import in_thread
from streaming.models import Status
from tests.faults.proxy import Proxy
from tests.servers import Redis
from tests.streaming.conftest import Running, Viewer, Watching, layer_on, words
from tests.streaming.test_runner import Spoken, heard, start, until_status

PACED = {"pace": 10}  # two seconds of speech, and so a final, in a fifth
HOUR_SECONDS = 3600.0


@pytest.fixture
def server() -> Iterator[Redis]:
    """A Redis of this test."""
    server = Redis()
    server.start()
    yield server
    server.kill()


@pytest.fixture
def proxy(server: Redis) -> Iterator[Proxy]:
    with Proxy(server.port) as proxy:
        yield proxy


Through = Callable[[int], None]


@pytest.fixture
async def through(settings: Settings) -> AsyncIterator[Through]:
    """Lets the channel layer go to a port."""

    def through(port: int) -> None:
        settings.CHANNEL_LAYERS = layer_on(f"redis://127.0.0.1:{port}/0")
        channel_layers.backends.clear()

    yield through
    with suppress(redis.ConnectionError):  # it may be gone
        await get_channel_layer().flush()
    channel_layers.backends.clear()


async def partial(viewer: Viewer) -> None:
    """Wait for one that is sent from now on; the database has none."""
    before = len(viewer.events)
    await viewer.until(lambda viewer: any(event["type"] == "partial" for event in viewer.events[before:]))


def restart(server: Redis) -> None:
    server.kill()
    time.sleep(0.5)
    server.start()


def kill_subscribers(server: Redis) -> None:
    """And let none come back for a while, or hardly anything would be lost."""
    with server.client() as administrator:
        administrator.config_set("maxclients", 1)
        assert administrator.execute_command("CLIENT", "KILL", "TYPE", "pubsub") > 0
        time.sleep(0.7)
        administrator.config_set("maxclients", 100)


def forget(server: Redis) -> None:
    with server.client() as administrator:
        administrator.flushall()


def fill(server: Redis) -> None:
    with server.client() as administrator:
        administrator.config_set("maxmemory-policy", "noeviction")
        administrator.config_set("maxmemory", "1")
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            administrator.set("name", "value")


@pytest.mark.parametrize("fault", [restart, kill_subscribers, forget, fill])
async def test_whatever_redis_does_the_job_goes_on_and_its_viewers_get_all_of_it(
    running: Running,
    watching: Watching,
    spoken: Spoken,
    alice: User,
    server: Redis,
    through: Through,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[Redis], None],
) -> None:
    """The next message tells what is missing: nobody looks into the database here."""
    monkeypatch.setattr(feeds, "LOOK_SECONDS", HOUR_SECONDS)
    through(server.port)
    job = await start(await in_thread(spoken)(80), **PACED)
    async with running(), watching(alice, job) as viewer:
        await viewer.until(lambda viewer: viewer.seq == 2)
        await asyncio.to_thread(fault, server)
        await partial(viewer)
        async with watching(alice, job) as late:
            await partial(late)
            await late.until_status("completed")
        await viewer.until_status("completed")
        assert viewer.words == late.words == words(80)
    assert (await heard(job), (await until_status(job, Status.COMPLETED)).attempt) == (words(80), 1)


def cut(proxy: Proxy) -> None:
    proxy.cut()


def slow(proxy: Proxy) -> None:
    proxy.bytes_a_second = 4_000  # a fourth of what is sent


def crumble(proxy: Proxy) -> None:
    proxy.answer_bytes = 1


@pytest.mark.parametrize("fault", [cut, slow, crumble])
async def test_whatever_the_way_to_redis_does_the_job_goes_on_and_its_viewers_get_all_of_it(
    running: Running,
    watching: Watching,
    spoken: Spoken,
    alice: User,
    proxy: Proxy,
    through: Through,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[Proxy], None],
) -> None:
    monkeypatch.setattr(outbox, "CAPACITY", 10)  # messages, so that a second is too many
    through(proxy.port)
    job = await start(await in_thread(spoken)(60), **PACED)
    async with running(), watching(alice, job) as viewer:
        await viewer.until(lambda viewer: viewer.seq == 2)
        await asyncio.to_thread(fault, proxy)
        await partial(viewer)
        await viewer.until_status("completed")
        await viewer.until(lambda viewer: viewer.seq == 15)
        assert viewer.words == words(60)
    assert (await heard(job), (await until_status(job, Status.COMPLETED)).attempt) == (words(60), 1)


@pytest.mark.parametrize("is_asleep", [True, False], ids=["asleep", "half_open"])
async def test_a_redis_that_says_nothing_holds_nobody_up(
    running: Running,
    watching: Watching,
    spoken: Spoken,
    alice: User,
    server: Redis,
    proxy: Proxy,
    through: Through,
    monkeypatch: pytest.MonkeyPatch,
    is_asleep: bool,
) -> None:
    monkeypatch.setattr(broadcast, "SEND_TIMEOUT_SECONDS", 0.3)
    monkeypatch.setattr(feeds, "LAYER_TIMEOUT_SECONDS", 0.3)
    through(proxy.port)
    upload = await in_thread(spoken)(60)
    job = await start(upload, **PACED)
    async with running(), watching(alice, job) as viewer:
        await viewer.until(lambda viewer: viewer.seq == 2)
        server.sleep() if is_asleep else proxy.hold()
        async with asyncio.timeout(5.0):
            cancelled = await start(upload, **PACED)
            await in_thread(jobs.cancel)(cancelled)
            async with watching(alice, cancelled) as late:
                await late.until_status("cancelled")
        await until_status(job, Status.COMPLETED)
        await viewer.until_status("completed")
        assert viewer.words == words(60)
        server.wake() if is_asleep else proxy.release()
        after = await start(upload, **PACED)
        async with watching(alice, after) as viewer:
            await partial(viewer)
