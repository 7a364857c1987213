"""Redis, or the network to it, fails while a job has viewers: the job continues and the viewers lose nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import pytest
import redis
from channels.layers import channel_layers, get_channel_layer
from django.contrib.auth.models import User
from pytest_django import Settings

from streaming import publisher
from streaming.db import in_thread
from streaming.jobs import lifecycle
from streaming.live import hub
from streaming.models import Status
from tests.faults.proxy import Proxy
from tests.servers import Redis
from tests.streaming.conftest import PATIENCE_SECONDS, Running, Viewer, Watching, layer_on, words
from tests.streaming.gated_engine import ALL, AllowWords
from tests.streaming.worker.test_runner import Spoken, start, stored_words, until, until_status

COUNT = 160  # words of a recording: enough to subscribe again before the job ends
HOUR_SECONDS = 3600.0


@pytest.fixture
def server() -> Iterator[Redis]:
    """A Redis server for one test."""
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
    """Connects the channel layer to the Redis at a port."""

    def through(port: int) -> None:
        settings.CHANNEL_LAYERS = layer_on(f"redis://127.0.0.1:{port}/0")
        channel_layers.backends.clear()

    yield through
    with suppress(redis.ConnectionError):  # the server may have ended
        await get_channel_layer().flush()
    channel_layers.backends.clear()


async def partial(viewer: Viewer, allow_words: AllowWords) -> None:
    """Make the engine yield partials until the viewer gets one: partials sent without a subscription are lost."""
    before = len(viewer.events)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not any(event["type"] == "partial" for event in viewer.events[before:]):
            allow_words(1)
            with suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    await viewer.next()


Fault = Callable[[Redis], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def restart(server: Redis) -> AsyncIterator[None]:
    await asyncio.to_thread(server.kill)
    yield
    await asyncio.to_thread(server.start)


@asynccontextmanager
async def kill_subscribers(server: Redis) -> AsyncIterator[None]:
    """Disconnect all subscribers, and admit none for a while, so that messages are lost."""
    with server.client() as administrator:
        administrator.config_set("maxclients", 1)
        assert administrator.execute_command("CLIENT", "KILL", "TYPE", "pubsub") > 0
        yield
        administrator.config_set("maxclients", 100)


@asynccontextmanager
async def forget(server: Redis) -> AsyncIterator[None]:
    with server.client() as administrator:
        administrator.flushall()
    yield


@asynccontextmanager
async def fill(server: Redis) -> AsyncIterator[None]:
    with server.client() as administrator:
        administrator.config_set("maxmemory-policy", "noeviction")
        administrator.config_set("maxmemory", "1")
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            administrator.set("name", "value")
    yield


@pytest.mark.parametrize("fault", [restart, kill_subscribers, forget, fill])
async def test_job_and_viewers_survive_a_fault_of_redis(
    running: Running,
    watching: Watching,
    spoken: Spoken,
    alice: User,
    server: Redis,
    through: Through,
    allow_words: AllowWords,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
) -> None:
    """The next message reveals the gap: the periodic poll is disabled here."""
    monkeypatch.setattr(hub, "POLL_SECONDS", HOUR_SECONDS)
    through(server.port)
    job = await start(await in_thread(spoken)(COUNT))
    async with running(), watching(alice, job) as viewer:
        allow_words(8)
        await viewer.until(lambda viewer: viewer.seq == 2)
        async with fault(server):
            allow_words(8)
            await until(job, lambda now: now.segment_count == 4)
        await partial(viewer, allow_words)
        async with watching(alice, job) as late:
            await partial(late, allow_words)
            allow_words(ALL)
            await late.until_status("completed")
        await viewer.until_status("completed")
        assert viewer.words == late.words == words(COUNT)
    assert (await stored_words(job), (await until_status(job, Status.COMPLETED)).attempt) == (words(COUNT), 1)


def cut(proxy: Proxy) -> None:
    proxy.cut()


def slow(proxy: Proxy) -> None:
    proxy.bytes_a_second = 4_000  # much less than the messages need


def crumble(proxy: Proxy) -> None:
    proxy.answer_bytes = 1


@pytest.mark.parametrize("fault", [cut, slow, crumble])
async def test_job_and_viewers_survive_a_fault_of_the_network_to_redis(
    running: Running,
    watching: Watching,
    spoken: Spoken,
    alice: User,
    proxy: Proxy,
    through: Through,
    allow_words: AllowWords,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[Proxy], None],
) -> None:
    monkeypatch.setattr(publisher, "OUTBOX_CAPACITY", 10)  # messages, fewer than the rest of the recording produces
    through(proxy.port)
    job = await start(await in_thread(spoken)(COUNT))
    async with running(), watching(alice, job) as viewer:
        allow_words(8)
        await viewer.until(lambda viewer: viewer.seq == 2)
        await asyncio.to_thread(fault, proxy)
        await partial(viewer, allow_words)
        allow_words(ALL)
        await viewer.until_status("completed")
        await viewer.until(lambda viewer: viewer.seq == COUNT / 4)
        assert viewer.words == words(COUNT)
    assert (await stored_words(job), (await until_status(job, Status.COMPLETED)).attempt) == (words(COUNT), 1)


@pytest.mark.parametrize("is_asleep", [True, False], ids=["asleep", "half_open"])
async def test_unresponsive_redis_delays_neither_jobs_nor_viewers(
    running: Running,
    watching: Watching,
    spoken: Spoken,
    alice: User,
    server: Redis,
    proxy: Proxy,
    through: Through,
    allow_words: AllowWords,
    monkeypatch: pytest.MonkeyPatch,
    is_asleep: bool,
) -> None:
    monkeypatch.setattr(publisher, "LAYER_SECONDS", 0.3)
    through(proxy.port)
    upload = await in_thread(spoken)(COUNT)
    job = await start(upload)
    async with running(), watching(alice, job) as viewer:
        allow_words(8)
        await viewer.until(lambda viewer: viewer.seq == 2)
        server.sleep() if is_asleep else proxy.hold()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):  # Redis stays unresponsive for longer
                cancelled = await start(upload)
                await in_thread(lifecycle.cancel)(cancelled)
                async with watching(alice, cancelled) as late:
                    await late.until_status("cancelled")
            allow_words(COUNT)
            await until_status(job, Status.COMPLETED)
            await viewer.until_status("completed")
            assert viewer.words == words(COUNT)
        finally:  # else the clean-up after a failure would block
            server.wake() if is_asleep else proxy.release()
        after = await start(upload)
        async with watching(alice, after) as viewer:
            await partial(viewer, allow_words)
