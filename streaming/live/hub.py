"""The hub: all feeds of this process, with one subscription to the channel layer and one poll of the database.

Consumers call `Hub.watch` to join a job's feed. The channel layer delivers events at once; the poll, every 2 s, finds
the events that the layer lost. While the layer is unavailable, viewers get all finals and statuses from the poll.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary, WeakValueDictionary

from channels.layers import get_channel_layer
from django.db import Error

from streaming import metrics, publisher
from streaming.db import clear_shared, in_thread
from streaming.jobs import queue
from streaming.live import close_codes
from streaming.live.auth import watchable
from streaming.live.feed import Feed
from streaming.live.subscriber import Subscriber
from streaming.models import Job, Status

logger = logging.getLogger(__name__)

POLL_SECONDS = 2.0  # between two comparisons of all feeds with the database
RECHECK_SECONDS = 5.0  # between two periodic access checks of all viewers


class Hub:
    """The feeds of this process. Its background tasks run while there is at least one feed."""

    def __init__(self) -> None:
        self._feeds: dict[UUID, Feed] = {}
        # A lock exists only while a viewer joins, watches or leaves that job.
        self._locks: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()
        self._channel = ""
        self._has_channel = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._short_tasks: set[asyncio.Task[None]] = set()
        self._is_recheck_due = asyncio.Event()  # set by a message: run the access checks now

    @property
    def is_unsubscribed(self) -> bool:
        """Whether this process has feeds, but no subscription to the channel layer.

        It then learns of sign-outs only at the next access check, so consumers must not cache the result of one.
        """
        return bool(self._tasks) and not self._has_channel.is_set()

    @asynccontextmanager
    async def watch(self, job_id: UUID, after: int, subscriber: Subscriber) -> AsyncIterator[tuple[Feed, str]]:
        """Add a subscriber to the feed of a job while the context lasts.

        Yields the feed and the text of the snapshot with the finals after number `after`. Raises the database's errors.
        """
        lock = self._locks.setdefault(job_id, asyncio.Lock())
        async with lock:  # two first viewers must not both create the feed
            feed = self._feeds.get(job_id) or await self._open(job_id)
            feed.add(subscriber)
        metrics.VIEWERS.inc()
        try:
            yield feed, await feed.resync(subscriber, after)
        finally:
            metrics.VIEWERS.dec()
            feed.remove(subscriber)
            async with lock:
                if not feed.subscribers and self._feeds.get(job_id) is feed:
                    await self._close(job_id)

    async def _open(self, job_id: UUID) -> Feed:
        """Create the feed of a job: subscribe, then read the database.

        In this order, because a final that is stored between the two steps arrives as a message.
        """
        feed = Feed(job_id)
        self._feeds[job_id] = feed
        try:
            if not self._tasks:
                self._has_channel.clear()
                self._tasks = [asyncio.create_task(run()) for run in (self._receive, self._poll, self._recheck_access)]
            with suppress(TimeoutError):  # the layer is unavailable: _poll subscribes later
                async with asyncio.timeout(publisher.LAYER_SECONDS):
                    await self._has_channel.wait()
            await self._subscribe(feed)
            await feed.catch_up()
        except BaseException:
            # Also for a cancellation: the viewer has left, or the database is unavailable. The next one starts again.
            await self._close(job_id)
            raise
        return feed

    async def _close(self, job_id: UUID) -> None:
        feed = self._feeds.pop(job_id)
        if feed.is_subscribed:
            await self._unsubscribe(publisher.feed_group(job_id))
        if not self._feeds:
            clear_shared()  # this process no longer receives sign-outs, which end the caching of access checks
            tasks, self._tasks = self._tasks, []
            for task in [*tasks, *self._short_tasks]:
                task.cancel()
            if self._has_channel.is_set():
                await self._unsubscribe(publisher.WATCHERS)

    async def _unsubscribe(self, group: str) -> None:
        # If this fails, messages keep arriving and `_dispatch` ignores them.
        await publisher.succeeds(get_channel_layer().group_discard(group, self._channel))

    async def _subscribe(self, feed: Feed) -> None:
        if not self._has_channel.is_set():
            return
        group = publisher.feed_group(feed.job_id)
        feed.is_subscribed = await publisher.succeeds(get_channel_layer().group_add(group, self._channel))
        if feed.is_subscribed:  # else _poll tries again
            # Only the worker that runs the job has its partials, so ask for them. In a task, because the feed is not
            # loaded yet and would drop the answer.
            self._start(self._ask_for_partials(feed))

    async def _ask_for_partials(self, feed: Feed) -> None:
        await feed.loaded.wait()
        await publisher.send(publisher.RUNNERS, publisher.worker_message("join", feed.job_id))

    async def _receive(self) -> None:
        """Pass the messages of the channel layer to their feeds, until cancelled. Subscribes again after an outage."""
        layer = get_channel_layer()
        while True:
            try:
                self._channel = await layer.new_channel()
                await layer.group_add(publisher.WATCHERS, self._channel)
                self._has_channel.set()
                while True:
                    self._dispatch(await layer.receive(self._channel))
            except Exception:  # of any class, from the layer's client: meanwhile _poll serves the viewers
                logger.exception("The channel layer did not answer; trying again")
                self._has_channel.clear()
                for feed in self._feeds.values():
                    feed.is_subscribed = False
                await asyncio.sleep(POLL_SECONDS)

    def _dispatch(self, message: dict[str, Any]) -> None:
        if message["type"] == publisher.RECHECK_ACCESS["type"]:
            clear_shared()
            self._is_recheck_due.set()
            return
        feed = self._feeds.get(UUID(message["job"]))
        if feed is not None and feed.loaded.is_set() and not feed.apply(message):
            self._start(self._catch_up(feed))

    async def _catch_up(self, feed: Feed) -> None:
        try:
            await feed.catch_up()
        except Error:
            logger.exception("Could not read a feed from the database; the next poll tries again")

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._short_tasks.add(task)
        task.add_done_callback(self._short_tasks.discard)

    async def _poll(self) -> None:
        """Compare all feeds with the database every `POLL_SECONDS`, in one or two queries, until cancelled."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            feeds = [feed for feed in self._feeds.values() if feed.loaded.is_set() and not feed.is_deleted]
            try:
                rows, places = await in_thread(rows_of)([feed.job_id for feed in feeds])
            except Error:
                logger.exception("Could not compare the feeds with the database; trying again")
                continue
            for feed in feeds:
                feed.shorten_log()
                feed.evict_stalled()
                row = rows.get(feed.job_id)
                if feed.is_deleted:
                    continue  # a message during the query reported that the job was deleted
                if row is None:
                    feed.mark_deleted()
                elif feed.is_behind(row):
                    self._start(self._catch_up(feed))
                else:
                    feed.update_place(places)
            await self._notify_workers(feeds)
            for feed in feeds:
                if not feed.is_subscribed:
                    await self._subscribe(feed)
                    if not feed.is_subscribed:
                        break  # the layer is unavailable; do not wait for each of the other feeds

    async def _notify_workers(self, feeds: list[Feed]) -> None:
        """Send the workers the running jobs with viewers here. Engines may omit partials for jobs without viewers."""
        if watched := [feed.job_id for feed in feeds if feed.is_running and feed.subscribers]:
            await publisher.send(publisher.RUNNERS, publisher.watched_message(watched))

    async def _recheck_access(self) -> None:
        """Check the access of all viewers every `RECHECK_SECONDS`, and when a message asks for it, until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(RECHECK_SECONDS):
                    await self._is_recheck_due.wait()
            self._is_recheck_due.clear()
            try:
                await self._evict_unauthorised()
            except Error:
                logger.exception("Could not check the access of viewers; trying again")

    async def _evict_unauthorised(self) -> None:
        """Evict viewers whose session has ended or who may no longer see the job.

        A few queries for each session, however many sockets it has in this process.
        """
        watching: defaultdict[str | None, defaultdict[Feed, list[Subscriber]]] = defaultdict(lambda: defaultdict(list))
        for feed in self._feeds.values():
            if not feed.is_deleted:
                for subscriber in feed.subscribers:
                    watching[subscriber.session_key][feed].append(subscriber)
        for session_key, subscribers in watching.items():
            allowed = await in_thread(watchable)(session_key, {feed.job_id for feed in subscribers})
            for feed, theirs in subscribers.items():
                if allowed is None:
                    code = close_codes.NOT_SIGNED_IN
                elif feed.job_id in allowed or not await in_thread(Job.objects.filter(pk=feed.job_id).exists)():
                    continue  # allowed, or deleted: `_poll` handles deleted jobs
                else:
                    code = close_codes.NOT_FOUND
                for subscriber in theirs:
                    subscriber.evict(code)


def rows_of(job_ids: list[UUID]) -> tuple[dict[UUID, dict[str, Any]], dict[UUID, int]]:
    """Return the rows of these jobs by id, and the queue positions of all jobs if one of these is queued.

    One query, or three.
    """
    rows = {
        row["pk"]: dict(row)
        for row in Job.objects.filter(pk__in=job_ids).values("pk", "attempt", "status", "segment_count")
    }
    waits = any(row["status"] == Status.QUEUED for row in rows.values())
    return rows, queue.places() if waits else {}


# A process has one event loop, and so one hub. Each test has its own loop.
_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def get_hub() -> Hub:
    """Return the hub of the running event loop."""
    return _of_loop.setdefault(asyncio.get_running_loop(), Hub())
