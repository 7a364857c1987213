"""The sockets: join a job's feed, relay it, and pass on what the viewer asks for.

A consumer never runs a job and never fails on bad input: whatever a viewer sends is answered, at worst with an
`error` event, and the socket stays open.
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
from uploads.models import Upload
from uploads.recordings import DISK_FULL

logger = logging.getLogger(__name__)

MESSAGE_CHARACTERS = 64 * 1024
AUTH_CACHE_SECONDS = 2.0  # for which all sockets of a session get the same answer to who it is and what it may see
CLOSE_SECONDS = 1.0  # for a close frame to be taken by a socket that has long taken nothing

Message = dict[str, Any]


class ViewerConsumer(AsyncWebsocketConsumer):
    """What both addresses share: who it is, what it watches, and the answer to each message."""

    # No channel of its own: a feed has one for the whole process. (Channels takes an unknown alias for "none".)
    channel_layer_alias = "no layer"

    async def __call__(self, *connection: Any) -> None:
        self._subscriber: Subscriber | None = None
        self._watching: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._counted_for: int | None = None
        try:
            await super().__call__(*connection)
        finally:  # however it ends: `disconnect` is not called for who is cancelled, or fails, before he has left
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
            # Asked once for the many sockets that a session opens for a job at once: the first has this process hear
            # of sign-outs, which end the sharing.
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
            logger.exception("Nobody could be asked who wants to watch")
            await self.close(TRY_AGAIN)

    def _authenticate(self) -> tuple[User | None, bool]:
        """Return who it is, and whether there is a job for them at this address, or none is asked for."""
        user = current_user(self.session_key)
        if user is None or self.job_id is None:
            return user, True
        return user, visible_job(user, self.job_id) is not None

    async def open(self) -> None:
        """Begin, for somebody who is signed in and may."""

    async def user(self) -> User | None:
        """Return who is at the other end as the database knows them now, not as they were when they connected."""
        return await in_thread(current_user)(self.session_key)

    # Watching

    async def watch(self, job_id: UUID, after: int = 0) -> None:
        self.job_id = job_id
        await self.serve(self._watch(job_id, after))

    async def serve(self, watching: Coroutine[Any, Any, None]) -> None:
        """Serve the viewer in the background, instead of what it watched before, until `unwatch`."""
        await self.unwatch()
        self._watching = asyncio.create_task(self._serve(watching))

    async def _serve(self, watching: Coroutine[Any, Any, None]) -> None:
        try:
            await watching
        except OSError:
            pass  # the viewer has left (some servers say so to who sends); the end of the socket is about to come
        except Exception:
            # The database is away, or a fault of ours. The browser connects again by itself, here or elsewhere.
            metrics.FAILURES.labels("viewer").inc()
            logger.exception("A viewer is sent away from %s", self.scope["path"])
            self._evict(TRY_AGAIN)

    async def unwatch(self) -> None:
        watching, self._watching, self._subscriber = self._watching, None, None
        if watching is not None:
            watching.cancel()
            await asyncio.wait({watching})

    async def _watch(self, job_id: UUID, after: int) -> None:
        """Send the snapshot, then what is new whenever something is, until cancelled."""
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
            subscriber.published_at_send = feed.published_characters + len(text)  # it may take long to take that
            subscriber.sent_count += 1
            # Past two layers of Channels that would only wrap it: this is done for every viewer of every event.
            await self.base_send({"type": "websocket.send", "text": text})
        subscriber.published_at_send = None

    def _evict(self, code: int) -> None:
        """Close the socket for a viewer, even while it takes nothing of what is being sent. Returns at once."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._stop_and_close(code))

    async def _stop_and_close(self, code: int) -> None:
        await self.unwatch()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.close(code)
        except TimeoutError:
            # It waits for who does not read. Our own server ends such a connection by itself.
            if self._transport is not None:
                abort(self._transport)
        except OSError:
            pass  # it has ended

    # What viewers send

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        try:
            if text_data is None:
                raise JobRefused("bad_message", "Messages are text: a JSON object with a type.")
            if len(text_data) > MESSAGE_CHARACTERS:
                raise JobRefused("bad_message", "A message has at most 64 KB.")
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
        """Answer one message of a viewer. Raises `JobRefused` with what is wrong with it."""
        message = parse(text)
        match message.get("type"):
            case "cancel":
                await in_thread(lifecycle.cancel)(await self._own_job(user))
            case "retry":
                await in_thread(lifecycle.retry)(await self._own_job(user))
            case "sync":
                after = message.get("after", 0)
                if not isinstance(after, int) or isinstance(after, bool) or after < 0:
                    raise JobRefused("bad_message", "`after` is the number of a final: 0, 1, 2 …")
                job = await self._own_job(user, to_change=False)
                if self._subscriber is None:  # it is still joining: what it gets first is what it asks for now
                    await self.watch(job.pk, after)
                else:
                    self._subscriber.sync_after = after
                    self._subscriber.notify()
            case _:
                raise JobRefused(
                    "bad_message", f"There is no message of the type {json.dumps(message.get('type'))[:100]}."
                )

    async def _own_job(self, user: User, *, to_change: bool = True) -> Job:
        """Return the watched job, for somebody who may do this to it. Raises `JobRefused`."""
        if self.job_id is None:
            raise JobRefused("bad_message", "There is no job here yet: start one first.")
        job = await in_thread(visible_job)(user, self.job_id)
        if job is None:
            raise JobRefused("not_found", "This job was deleted.")
        if to_change and not await in_thread(permissions.may_change)(user, job):
            raise JobRefused("forbidden", "You may watch this job, but not change it.")
        return job


class JobConsumer(ViewerConsumer):
    """`/ws/jobs/<uuid>/[?after=<seq>]`: watches one job."""

    async def open(self) -> None:
        assert self.job_id is not None
        given = parse_qs(self.scope["query_string"].decode("latin-1")).get("after", ["0"])[0]
        # What is not a number asks for everything.
        await self.watch(self.job_id, int(given) if given.isascii() and given.isdigit() and len(given) < 10 else 0)


class NowhereConsumer(AsyncWebsocketConsumer):
    """Any other address: there is nothing."""

    channel_layer_alias = ViewerConsumer.channel_layer_alias

    async def connect(self) -> None:
        await self.accept()
        await self.close(NOT_FOUND)


class StreamConsumer(ViewerConsumer):
    """`/ws/stream/`: starts jobs for uploads and relays each, as often as wanted."""

    async def answer(self, user: User, text: str) -> None:
        if not text.strip():
            await self.close(1000)  # an empty line is how a person at a terminal says goodbye
        elif not is_json(text):
            upload = await in_thread(newest_upload_named)(user, text.strip())
            await self._start(user, upload, {})
        elif (message := parse(text)).get("type") == "start":
            await self._start(user, await in_thread(visible_upload)(user, message.get("upload")), message)
        else:
            await super().answer(user, text)

    async def _start(self, user: User, upload: Upload | None, message: Message) -> None:
        if upload is None:
            raise JobRefused("not_found", "You have no recording of that name or id.")
        if not await in_thread(permissions.may_start)(user, upload):
            raise JobRefused("forbidden", "You may hear this recording, but not start jobs for it.")
        engine, language_code = message.get("engine", ""), message.get("language_code", "")
        options, request_id = message.get("options", {}), message.get("request_id")
        if not isinstance(engine, str) or not isinstance(language_code, str) or not isinstance(options, dict):
            raise JobRefused("bad_message", "`engine` and `language_code` are text, `options` is an object.")
        if not isinstance(request_id, str | None):
            raise JobRefused("bad_message", "`request_id` is text.")
        track = message.get("track")
        wanted: Message = {"engine": engine, "language_code": language_code, "options": options, "track": track}
        job, _ = await in_thread(lifecycle.start)(upload, **wanted, request_id=request_id)
        await self.watch(job.pk)


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def parse(text: str) -> Message:
    """Return a message of the protocol. Raises `JobRefused`."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise JobRefused("bad_message", "That is not JSON.") from None
    if not isinstance(message, dict):
        raise JobRefused("bad_message", "A message is a JSON object with a type.")
    return message


def visible_job(user: User, job_id: UUID) -> Job | None:
    return Job.objects.visible_to(user).filter(pk=job_id).first()


def visible_upload(user: User, given: object) -> Upload | None:
    try:
        pk = UUID(str(given))
    except ValueError:
        raise JobRefused("bad_message", "`upload` is the id of a recording: a UUID.") from None
    return Upload.objects.visible_to(user).filter(pk=pk).first()


def newest_upload_named(user: User, name: str) -> Upload | None:
    # PostgreSQL knows no NUL in a text, and no recording's name has one.
    return Upload.objects.filter(owner_id=user.pk, name=name.replace("\0", "")).order_by("-created_at").first()
