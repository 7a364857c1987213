"""The feed: it recovers lost messages, drops stale ones, and brings every viewer to the state of the database."""

import asyncio
import json
import tracemalloc
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer, channel_layers, get_channel_layer
from django.contrib.auth.models import User
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streaming import events, publisher
from streaming.db import in_thread
from streaming.jobs import lifecycle, queue
from streaming.live import hub as hub_module
from streaming.live.feed import LOG_LENGTH, Feed
from streaming.live.subscriber import Subscriber
from streaming.models import Job, Segment, Status
from streaming.results import Result
from tests.streaming.conftest import PATIENCE_SECONDS, Running, Watching, words
from tests.streaming.factories import make_job, make_segments, make_upload
from tests.streaming.worker.test_runner import SLOW, Spoken, start


class LosingLayer(InMemoryChannelLayer):
    """Drops the messages to feeds for which `loses` returns True."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.seen = 0

    def loses(self, message: dict[str, Any]) -> bool:
        return False

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        if group.startswith("job."):
            self.seen += 1
            if self.loses(message):
                return
        await super().group_send(group, message)


class LosingFinals(LosingLayer):
    def loses(self, message: dict[str, Any]) -> bool:
        return message["kind"] == "final" and message["seq"] % 3 != 0


class LosingEverything(LosingLayer):
    def loses(self, message: dict[str, Any]) -> bool:
        return True


@pytest.mark.parametrize("layer", [LosingFinals, LosingEverything])
async def test_viewer_gets_finals_that_the_channel_layer_lost(
    running: Running, watching: Watching, spoken: Spoken, alice: User, layer: type[LosingLayer]
) -> None:
    channel_layers.set("default", layer())
    job = await start(await in_thread(spoken)(40), **SLOW)
    async with running(), watching(alice, job) as viewer:
        await viewer.until_status("completed")
        await viewer.until(lambda viewer: viewer.seq == 10)
        assert viewer.words == words(40)
    assert get_channel_layer().seen > 10


async def feed_of(job: Job) -> tuple[Feed, Subscriber]:
    feed = Feed(job.pk)
    await feed.catch_up()
    subscriber = join(feed)
    await feed.resync(subscriber, 0)
    return feed, subscriber


def a_viewer() -> Subscriber:
    return Subscriber("a session", lambda code: None)


def join(feed: Feed) -> Subscriber:
    subscriber = a_viewer()
    feed.add(subscriber)
    return subscriber


async def unsent(feed: Feed, subscriber: Subscriber) -> list[str]:
    """Return all events that a viewer has not been sent, as the consumer reads them."""
    texts: list[str] = []
    while (pending := feed.pending(subscriber)) is None:
        texts += await feed.read_page(subscriber)
    return texts + pending


def partial(job: Job, attempt: int, seq: int, text: str) -> dict[str, Any]:
    event = events.partial(Result(text, 0.0, 1.0, is_partial=True))
    return publisher.envelope(job.pk, attempt, seq, event)


async def running_job(alice: User, texts: list[str]) -> Job:
    def make() -> Job:
        job = make_job(make_upload(alice), Status.RUNNING)
        make_segments(job, texts)
        return job

    return await in_thread(make)()


@pytest.mark.django_db(transaction=True)
async def test_feed_caches_one_snapshot_only(alice: User) -> None:
    job = await running_job(alice, ["a line of some length " * 20] * 400)
    feed, subscriber = await feed_of(job)
    tracemalloc.start()
    try:
        for after in range(400):
            await feed.resync(subscriber, after)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 2_000_000, "the size of one and a half snapshots"


@pytest.mark.django_db(transaction=True)
async def test_feed_ignores_messages_of_a_worker_that_lost_the_job(alice: User) -> None:
    job = await running_job(alice, ["one"])
    await Job.objects.filter(pk=job.pk).aupdate(attempt=2)
    feed, subscriber = await feed_of(job)
    assert feed.apply(partial(job, 2, 1, "of the new worker"))
    assert feed.apply(partial(job, 1, 1, "of the old worker"))
    (text,) = await unsent(feed, subscriber)
    assert "of the new worker" in text


@pytest.mark.django_db(transaction=True)
async def test_slow_viewer_skips_stale_partials(alice: User) -> None:
    job = await running_job(alice, [])
    feed, subscriber = await feed_of(job)
    for number in range(1000):
        feed.apply(partial(job, 1, 0, f"version {number}"))
    (text,) = await unsent(feed, subscriber)
    assert "version 999" in text
    assert await unsent(feed, subscriber) == []


@pytest.mark.django_db(transaction=True)
async def test_feed_ignores_a_partial_that_its_final_has_overtaken(alice: User) -> None:
    job = await running_job(alice, ["one"])
    feed, subscriber = await feed_of(job)
    assert feed.apply(partial(job, 1, 0, "late"))
    assert await unsent(feed, subscriber) == []


@pytest.mark.django_db(transaction=True)
async def test_viewer_far_behind_the_log_gets_finals_from_the_database(alice: User) -> None:
    job = await running_job(alice, [])
    feed, subscriber = await feed_of(job)
    count = LOG_LENGTH + 700
    await in_thread(make_segments)(job, [f"w{number}" for number in range(count)])
    await feed.catch_up()
    texts = await unsent(feed, subscriber)
    assert [f'"seq":{number},' in text for number, text in enumerate(texts[:count], start=1)] == [True] * count
    assert subscriber.seq == count


@pytest.mark.django_db(transaction=True)
async def test_viewers_share_one_feed_that_ends_with_the_last_of_them(alice: User) -> None:
    job = await running_job(alice, ["one"])
    hub = hub_module.get_hub()
    layer = get_channel_layer()
    async with hub.watch(job.pk, 0, a_viewer()), hub.watch(job.pk, 0, a_viewer()), hub.watch(job.pk, 0, a_viewer()):
        assert len(layer.groups[publisher.feed_group(job.pk)]) == 1
    assert publisher.feed_group(job.pk) not in layer.groups
    assert hub._feeds == {}
    await asyncio.sleep(0)
    assert [task for task in hub._tasks if not task.done()] == []


# Any sequence of partials, finals, lost messages and new attempts: the viewer ends with the state of a new viewer.

steps = st.lists(
    st.one_of(
        st.tuples(st.just("partial"), st.booleans()),
        st.tuples(st.just("final"), st.booleans()),
        st.tuples(st.just("attempt"), st.booleans()),
        st.tuples(st.just("poll"), st.just(True)),
        st.tuples(st.just("read"), st.just(True)),
        st.tuples(st.just("stale"), st.just(True)),
    ),
    max_size=25,
)


class Page:
    """The state of a viewer's page, updated as docs/protocol.md prescribes."""

    def __init__(self) -> None:
        self.finals: dict[int, str] = {}
        self.partials: dict[str, str] = {}
        self.job: dict[str, Any] = {}

    def take(self, text: str) -> None:
        event = json.loads(text)
        match event["type"]:
            case "snapshot":
                self.finals |= {segment["seq"]: segment["text"] for segment in event["segments"]}
                self.partials = {partial["slot"]: partial["text"] for partial in event["partials"]}
                self.job = event["job"]
            case "final":
                assert event["seq"] == max(self.finals, default=0) + 1, "in order, without a gap, none twice"
                self.finals[event["seq"]] = event["segment"]["text"]
                self.partials.pop(event["slot"], None)
            case "partial":
                self.partials[event["slot"]] = event["text"]
            case "status":
                if event["job"]["status"] != "running" or event["job"]["started_at"] != self.job["started_at"]:
                    self.partials = {}
                self.job = event["job"]


class Play:
    """One run of the property test: a worker, a feed and a page, and the steps between them."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.feed = Feed(job.pk)
        self.page = Page()

    async def run(self, played: list[tuple[str, bool]]) -> None:
        await self.feed.catch_up()
        self.subscriber = join(self.feed)
        self.page.take(await self.feed.resync(self.subscriber, 0))
        for step, arrives in played:
            await getattr(self, step)(arrives)
        await self.feed.catch_up()
        await self.read(True)
        fresh = Page()
        fresh.take(await self.feed.resync(join(self.feed), 0))
        assert (self.page.finals, self.page.partials) == (fresh.finals, fresh.partials)
        stored = {segment.seq: segment.text async for segment in Segment.objects.filter(job=self.job)}
        assert self.page.finals == stored

    async def _send(self, event: dict[str, Any], arrives: bool) -> None:
        message = publisher.envelope(self.job.pk, self.job.attempt, self.job.segment_count, event)
        if arrives and not self.feed.apply(message):
            await self.feed.catch_up()

    async def partial(self, arrives: bool) -> None:
        text = f"p{self.job.attempt}.{self.job.segment_count}"
        await self._send(events.partial(Result(text, 0.0, 1.0, is_partial=True)), arrives)

    async def final(self, arrives: bool) -> None:
        seq = self.job.segment_count + 1
        result = Result(f"f{seq}", float(seq), seq + 1.0, is_partial=False)
        segment = await in_thread(lifecycle.store_final)(self.job.pk, self.job.attempt, seq, result, 0.0)
        self.job.segment_count = seq
        await self._send(events.final(segment), arrives)

    async def attempt(self, arrives: bool) -> None:
        """Another worker claims the job and publishes its status."""
        await Job.objects.filter(pk=self.job.pk).aupdate(lease_expires_at=self.job.created_at)
        taken = await in_thread(queue.claim_next)("another")
        assert taken is not None
        self.job = taken
        await self._send(events.status(taken), arrives)

    async def stale(self, _: bool) -> None:
        """A message of an earlier attempt arrives late."""
        event = events.partial(Result("stale", 0.0, 1.0, is_partial=True))
        late = publisher.envelope(self.job.pk, self.job.attempt - 1, self.job.segment_count, event)
        await self.feed.catch_up()
        self.feed.apply(late)

    async def poll(self, _: bool) -> None:
        await self.feed.catch_up()

    async def read(self, _: bool) -> None:
        for text in await unsent(self.feed, self.subscriber):
            self.page.take(text)


@given(played=steps)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_page_ends_equal_to_a_fresh_page_after_any_sequence_of_events(
    transactional_db: None, alice: User, played: list[tuple[str, bool]]
) -> None:
    Job.objects.all().delete()
    job = make_job(make_upload(alice), Status.RUNNING)
    asyncio.run(asyncio.wait_for(Play(job).run(played), PATIENCE_SECONDS))
