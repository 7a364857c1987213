"""The WebSocket consumers: they join a job's feed, send its events to the viewer, and execute the viewer's messages.

A consumer starts and cancels jobs, but a worker runs them. A consumer survives bad input: it answers with an `error`
event and keeps the socket open. `routing.py` lists the addresses; `docs/protocol.md` describes the messages.
"""

import asyncio
import json
import logging
from collections.abc import Coroutine
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.contrib.auth.models import User
from django.db import Error

from streaming import events, metrics
from streaming.db import in_thread, shared
from streaming.jobs import lifecycle, permissions
from streaming.jobs.lifecycle import JobRefused
from streaming.live import limits
from streaming.live.auth import SIGNED_IN, current_user, is_origin_allowed
from streaming.live.close_codes import BAD_ORIGIN, NOT_FOUND, NOT_SIGNED_IN, TRY_AGAIN
from streaming.live.feed import Feed
from streaming.live.hub import get_hub
from streaming.live.send_buffer import abort, transport_of
from streaming.live.subscriber import Subscriber
from streaming.models import Job
from uploads.files.disk_errors import is_full
from uploads.recordings import DISK_FULL

logger = logging.getLogger(__name__)

MESSAGE_CHARACTERS = 64 * 1024
AUTH_CACHE_SECONDS = 2.0  # how long the sockets of a session share the result of one access check
CLOSE_SECONDS = 1.0  # how long to wait until a viewer that does not read accepts the close frame

Message = dict[str, Any]


class ViewerConsumer(AsyncWebsocketConsumer):
    """The base of all consumers: authentication, the background task that sends events, and the viewer's messages."""

    # No channel per socket: the hub has one for the whole process. (Channels treats an unknown alias as no layer.)
    channel_layer_alias = "no layer"

    async def __call__(self, *connection: Any) -> None:
        self._subscriber: Subscriber | None = None
        self._watching: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._counted_for: int | None = None
        try:
            await super().__call__(*connection)
        finally:  # Channels does not call `disconnect` if the consumer is cancelled or raises
            if self._counted_for is not None:
                limits.release(self._counted_for)
            await self.unwatch()

    async def connect(self) -> None:
        self.job_id: UUID | None = self.scope["url_route"]["kwargs"].get("job_id")
        self.session_key: str | None = self.scope["cookies"].get(settings.SESSION_COOKIE_NAME)
        # A close code reaches the browser only on a socket that was accepted.
        await self.accept()
        self._transport = transport_of(self.base_send)
        if not is_origin_allowed(self.scope):
            await self.close(BAD_ORIGIN)
            return
        try:
            # Cache the access check per session and job; the first socket subscribes this process to sign-out messages,
            # which clear the cache. Without that subscription there is no caching.
            seconds = 0.0 if self.job_id is None or get_hub().is_unsubscribed else AUTH_CACHE_SECONDS
            key = (self.session_key, self.job_id)
            user, is_there = await shared(key, lambda: in_thread(self._authenticate)(), seconds)
            if user is None:
                await self.close(NOT_SIGNED_IN)
            elif not is_there:
                await self.close(NOT_FOUND)
            elif not limits.acquire(user.pk):
                await self.close(TRY_AGAIN)
            else:
                self._counted_for = user.pk
                if SIGNED_IN in self.scope:
                    self.scope[SIGNED_IN]()
                await self.open()
        except Error:
            logger.exception("Could not authenticate viewer: database unavailable")
            await self.close(TRY_AGAIN)

    def _authenticate(self) -> tuple[User | None, bool]:
        """Return the person of the session, and whether they may see the job of this address. True without a job."""
        user = current_user(self.session_key)
        if user is None or self.job_id is None:
            return user, True
        return user, visible_job(user, self.job_id) is not None

    async def open(self) -> None:
        """Start serving a viewer that has passed all checks."""

    async def user(self) -> User | None:
        """Return the person of the session now, or None: the session may have ended since the viewer connected."""
        return await in_thread(current_user)(self.session_key)

    # Watching

    async def watch(self, job_id: UUID, after: int = 0) -> None:
        """Send a job's events from now on, with the finals after number `after`. Stops watching any other job."""
        self.job_id = job_id
        await self.serve(self._watch(job_id, after))

    async def serve(self, watching: Coroutine[Any, Any, None]) -> None:
        """Run `watching` in the background until `unwatch`. Stops an earlier watch of this socket."""
        await self.unwatch()
        self._watching = asyncio.create_task(self._serve(watching))

    async def _serve(self, watching: Coroutine[Any, Any, None]) -> None:
        try:
            await watching
        except OSError:
            pass  # the viewer has left. Some servers raise this from `send`; the disconnect message follows
        except Exception:
            # The database is unavailable, or there is a bug. The page reconnects, perhaps to another process.
            metrics.FAILURES.labels("viewer").inc()
            logger.exception("Closed the socket of a viewer at %s after an error", self.scope["path"])
            self._evict(TRY_AGAIN)

    async def unwatch(self) -> None:
        """Cancel the background task, and wait until it has left the feed."""
        watching, self._watching, self._subscriber = self._watching, None, None
        if watching is not None:
            watching.cancel()
            await asyncio.wait({watching})

    async def _watch(self, job_id: UUID, after: int) -> None:
        """Send the snapshot, then each new event, until cancelled."""
        subscriber = Subscriber(self.session_key, self._evict)
        async with get_hub().watch(job_id, after, subscriber) as (feed, snapshot):
            self._subscriber = subscriber
            await self._send_all(feed, subscriber, [snapshot])
            while True:
                await subscriber.wait()
                if subscriber.sync_after is not None:
                    wanted, subscriber.sync_after = subscriber.sync_after, None
                    await self._send_all(feed, subscriber, [await feed.resync(subscriber, wanted)])
                texts = feed.pending(subscriber)
                await self._send_all(feed, subscriber, await feed.read_page(subscriber) if texts is None else texts)

    async def _send_all(self, feed: Feed, subscriber: Subscriber, texts: list[str]) -> None:
        for text in texts:
            # Set before sending, which may block: `evict_stalled` compares it with the later amount.
            subscriber.published_at_send = feed.published_characters + len(text)
            subscriber.sent_count += 1
            # Not `self.send`: it adds two layers of calls, and this runs for every event and viewer.
            await self.base_send({"type": "websocket.send", "text": text})
        subscriber.published_at_send = None

    def _evict(self, code: int) -> None:
        """Close the socket in the background, even if the viewer does not read. Returns at once."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._stop_and_close(code))

    async def _stop_and_close(self, code: int) -> None:
        await self.unwatch()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.close(code)
        except TimeoutError:
            # The viewer does not read. daphne closes such a connection by itself; other servers need this.
            if self._transport is not None:
                abort(self._transport)
        except OSError:
            pass  # the connection has ended meanwhile

    # Messages of viewers

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        try:
            if text_data is None:
                raise JobRefused("bad_message", "A message must be text: a JSON object with a `type`.")
            if len(text_data) > MESSAGE_CHARACTERS:
                raise JobRefused("bad_message", "A message can have at most 64 KB.")
            user = await self.user()
            if user is None:
                self._evict(NOT_SIGNED_IN)
                return
            await self.answer(user, text_data)
        except JobRefused as refusal:
            await self.send(text_data=events.encode(events.error(refusal.code, str(refusal))))
        except Error as error:
            message = "The server can't reach its database. Try again in a moment."
            if is_full(error):
                message = DISK_FULL
            await self.send(text_data=events.encode(events.error("unavailable", message)))

    async def answer(self, user: User, text: str) -> None:
        """Execute one message of a viewer. Raises `JobRefused` with a sentence for the viewer, and database errors."""
        message = parse(text)
        match message.get("type"):
            case "cancel":
                await in_thread(lifecycle.cancel)(await self._own_job(user))
            case "retry":
                await in_thread(lifecycle.retry)(await self._own_job(user))
            case "sync":
                after = message.get("after", 0)
                if not isinstance(after, int) or isinstance(after, bool) or after < 0:
                    raise JobRefused("bad_message", "`after` must be the number of a final: 0, 1, 2 …")
                job = await self._own_job(user, to_change=False)
                if self._subscriber is None:  # still joining: start again, with the requested number
                    await self.watch(job.pk, after)
                else:
                    self._subscriber.sync_after = after
                    self._subscriber.notify()
            case _:
                raise JobRefused("bad_message", f"Unknown message type: {json.dumps(message.get('type'))[:100]}.")

    async def _own_job(self, user: User, *, to_change: bool = True) -> Job:
        """Return the watched job. Raises `JobRefused` if the person may not see it or, with `to_change`, change it."""
        if self.job_id is None:
            raise JobRefused("bad_message", "No job was started on this socket yet. Start one first.")
        job = await in_thread(visible_job)(user, self.job_id)
        if job is None:
            raise JobRefused("not_found", "This job was deleted.")
        if to_change and not await in_thread(permissions.may_change)(user, job):
            raise JobRefused("forbidden", "You don't have permission to change this job.")
        return job


class JobConsumer(ViewerConsumer):
    """`/ws/jobs/<uuid>/[?after=<seq>]`: sends the events of one job."""

    async def open(self) -> None:
        assert self.job_id is not None
        given = parse_qs(self.scope["query_string"].decode("latin-1")).get("after", ["0"])[0]
        # An invalid number counts as 0: the viewer gets all finals.
        await self.watch(self.job_id, int(given) if given.isascii() and given.isdigit() and len(given) < 10 else 0)


class NowhereConsumer(AsyncWebsocketConsumer):
    """Any other address: closes the socket with 4404."""

    channel_layer_alias = ViewerConsumer.channel_layer_alias

    async def connect(self) -> None:
        await self.accept()
        await self.close(NOT_FOUND)


def parse(text: str) -> Message:
    """Return a message of the protocol. Raises `JobRefused`."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise JobRefused("bad_message", "The message is not valid JSON.") from None
    if not isinstance(message, dict):
        raise JobRefused("bad_message", "A message must be a JSON object with a `type`.")
    return message


def visible_job(user: User, job_id: UUID) -> Job | None:
    """Return the job, or None if there is none that this person may see."""
    return Job.objects.visible_to(user).filter(pk=job_id).first()
