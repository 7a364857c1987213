"""A feed: one process's view of one job that somebody here watches. `hub.py` keeps them up to date.

It keeps what its viewers need: finals as a log, partials as a register of the newest in each slot, and the
newest state, each as the text that goes over the socket. It never sends: every viewer reads from it at a subscriber
of its own, so one who is slow skips partials that are out of date and slows nobody. The log reaches back as far as
somebody needed in the last seconds, so that of hundreds who join together one asks the database.

What the channel layer loses is noticed by its number (every message says how many finals its sender had stored)
and fetched from the database.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from django.db.models import TextField
from django.db.models.functions import Cast

from streaming import events
from streaming.db import in_thread
from streaming.live import close_codes
from streaming.live.subscriber import Subscriber
from streaming.models import Job, Segment, Status

LOG_LENGTH = 500  # finals kept in memory for long; a viewer who is further behind gets them from the database
LONG_LOG_SECONDS = 10.0  # for which the log stays longer, after somebody joined who had to be sent more
PAGE = 500  # finals fetched at a time; not more than the log holds, so that nobody is sent what is not known here
MAX_UNREAD_CHARACTERS = 1024 * 1024  # published while a viewer takes nothing: then it is sent away


class Newest(NamedTuple):
    """The newest text of the state, or of a slot's partial, and the version of the register that it came with."""

    version: int
    text: str


class Feed:
    """One watched job. Made and kept up to date by `Hub`."""

    def __init__(self, job_id: UUID) -> None:
        self.job_id = job_id
        self.seq = 0  # the number of the last final that is known here
        self.loaded = asyncio.Event()
        self.is_deleted = False
        self.is_subscribed = False
        self._attempt = 0
        self._job: dict[str, Any] = {}
        self._log: list[str] = []  # the finals up to `seq`, without a gap
        self._long_until = 0.0
        self._reaching_back = asyncio.Lock()
        self._partials: dict[str, Newest] = {}  # by slot
        self._status = Newest(0, "")
        self._version = 0
        self.subscribers: set[Subscriber] = set()
        # What was made for viewers, until something is new: what `pending` found, the snapshot after a number.
        self._texts_after: dict[tuple[int, int], list[str]] = {}
        self._newest_snapshot: tuple[int, str] | None = None
        self.published_characters = 0  # of all that was ever to be sent to viewers
        self._catching_up = asyncio.Lock()

    # For viewers

    def add(self, subscriber: Subscriber) -> None:
        """Take in a new viewer; `resync` gives it its snapshot."""
        self.subscribers.add(subscriber)

    async def resync(self, subscriber: Subscriber, after: int) -> str:
        """Move a subscriber behind all that is known, and return the snapshot that shows what comes after `after`.

        What comes later is sent by `pending`. Who joins together gets one snapshot.
        """
        if after > self.seq:
            await self.catch_up()  # it has seen more, in another process
        await self._reach_back(after)
        if self._newest_snapshot is None or self._newest_snapshot[0] != after:
            self._newest_snapshot = after, self._snapshot(min(after, self.seq))
        subscriber.seq, subscriber.version = self.seq, self._version
        return self._newest_snapshot[1]

    async def _reach_back(self, after: int) -> None:
        """Have the finals after this number in the log."""
        async with self._reaching_back:
            if after < self.seq - LOG_LENGTH:
                self._long_until = asyncio.get_running_loop().time() + LONG_LOG_SECONDS
            while after < (begin := self._begin):
                finals = await in_thread(finals_between)(self.job_id, after, begin)
                if len(finals) < begin - after:
                    return  # deleted in the meantime
                if self._begin == begin:
                    self._log[:0] = [final.text for final in finals]

    def _snapshot(self, after: int) -> str:
        if self.is_deleted or not self._job:
            return events.encode(events.job_deleted())
        partials = [partial.text for partial in self._partials.values()]
        return events.snapshot(self._job, self._log[max(0, after - self._begin) :], partials, self.seq)

    @property
    def _begin(self) -> int:
        """The number of the final before the first in the log."""
        return self.seq - len(self._log)

    def remove(self, subscriber: Subscriber) -> None:
        self.subscribers.discard(subscriber)
        subscriber.count_sent()

    @property
    def is_running(self) -> bool:
        return bool(self._job.get("status") == Status.RUNNING)

    def pending(self, subscriber: Subscriber) -> list[str] | None:
        """Return what a viewer has not been sent yet: finals in order, the state, the newest partials.

        Returns None where it is so far behind that `read_page` has to be asked. Who is at the same place gets the same.
        """
        place = subscriber.seq, subscriber.version
        texts = self._texts_after.get(place)
        if texts is None:
            if subscriber.seq < self._begin:
                return None
            texts = self._log[subscriber.seq - self._begin :] if subscriber.seq < self.seq else []
            # The state first: one of a new attempt ends what the viewer shows of the attempt before.
            newest = [self._status, *sorted(self._partials.values())]
            texts += [text for version, text in newest if version > subscriber.version]
            self._texts_after[place] = texts
        subscriber.seq, subscriber.version = max(subscriber.seq, self.seq), self._version
        return texts

    async def read_page(self, subscriber: Subscriber) -> list[str]:
        """Return the next page of finals for a viewer who is far behind; `pending` is to be asked again after it."""
        finals = await in_thread(finals_between)(self.job_id, subscriber.seq, subscriber.seq + PAGE)
        subscriber.seq = finals[-1].seq if finals else self.seq  # deleted in the meantime
        subscriber.notify()
        return [final.text for final in finals]

    # For the hub

    def apply(self, message: dict[str, Any]) -> bool:
        """Take a message of the channel layer. Returns False, and takes nothing, if something before it is missing."""
        kind, seq, text = message["kind"], message["seq"], message["text"]
        if self.is_deleted or message["attempt"] < self._attempt:
            return True  # of a worker that has lost the job
        if kind == "error":
            self.mark_deleted()
            return True
        status = json.loads(text) if kind == "status" else None
        is_of_running = kind == "partial" or (status is not None and status["job"]["status"] == Status.RUNNING)
        if is_of_running and message["attempt"] == self._attempt and self._job["status"] != Status.RUNNING:
            return True  # the end was told past what the worker had still to send: no attempt runs again
        if seq > self.seq + (kind == "final") or (kind != "status" and message["attempt"] > self._attempt):
            return False
        self._set_attempt(message["attempt"])
        if kind == "final" and seq > self.seq:
            self._partials.pop(message["slot"], None)
            self._append(seq, text)
        elif kind == "partial" and seq == self.seq:  # an older one was overtaken by a final
            self._partials[message["slot"]] = Newest(self._next_version(text), text)
        elif status is not None:
            self._set_status(status)
        return True

    async def catch_up(self) -> None:
        """Read the job, and the finals that are missing, from the database."""
        async with self._catching_up:
            before = self._status
            job = await in_thread(Job.objects.filter(pk=self.job_id).first)()
            if job is None:
                self.mark_deleted()
                return
            if not self.loaded.is_set():
                self.seq = job.segment_count  # who joins reads the finals before it by himself
            while self.seq < job.segment_count and (
                finals := await in_thread(finals_between)(self.job_id, self.seq, self.seq + PAGE)
            ):
                for final in finals:
                    self._partials.pop(final.slot, None)
                    self._append(final.seq, final.text)
            # A state that came as a message in the meantime is newer than the row; not one that it was overtaken by.
            is_newest = self._status is before or (self._job["status"] == Status.RUNNING != job.status)
            if job.attempt > self._attempt or (job.attempt == self._attempt and is_newest):
                self._set_attempt(job.attempt)
                self._set_status(events.status(job))
            self.loaded.set()  # from here on messages are taken

    def is_behind(self, row: dict[str, Any]) -> bool:
        """Whether the job's row in the database (some of its values) has something that no message told."""
        return (
            row["segment_count"] > self.seq
            or row["attempt"] > self._attempt
            or (row["attempt"] == self._attempt and row["status"] != self._job["status"])
        )

    def update_place(self, places: Mapping[UUID, int]) -> None:
        """Tell the viewers of a job that waits when it has its turn, if that has changed."""
        job = events.queued(self._job, places)
        if self._job["status"] == Status.QUEUED and job != self._job:
            self._set_status({"type": "status", "job": job})

    def evict_stalled(self) -> None:
        """Send away who takes nothing while much is published. Called at each look: nobody is stuck for a moment."""
        for subscriber in self.subscribers:
            is_stuck = not subscriber.count_sent()
            since = subscriber.published_at_send
            if is_stuck and since is not None and self.published_characters - since > MAX_UNREAD_CHARACTERS:
                subscriber.evict(close_codes.TRY_AGAIN)

    def shorten_log(self) -> None:
        """Forget what nobody has needed for long. Called now and then."""
        if asyncio.get_running_loop().time() > self._long_until:
            del self._log[:-LOG_LENGTH]

    def mark_deleted(self) -> None:
        """Tell the viewers that the job was deleted."""
        if not self.is_deleted:
            self.is_deleted = True
            self.loaded.set()  # there is nothing to wait for
            self._partials.clear()
            self._set_status_text(events.encode(events.job_deleted()))

    # Inside

    def _append(self, seq: int, text: str) -> None:
        if seq == self.seq + 1:  # else a message and the database met, and it is here already
            self.seq = seq
            self._log.append(text)
            if len(self._log) > 2 * LOG_LENGTH:
                self.shorten_log()
            self._notify_all(text)

    def _set_attempt(self, attempt: int) -> None:
        if attempt > self._attempt:
            self._attempt = attempt
            self._partials.clear()  # of a worker that has lost the job

    def _set_status(self, event: events.Event) -> None:
        if event["job"]["status"] == Status.QUEUED and "queue" in self._job:
            event = {**event, "job": {"queue": self._job["queue"], **event["job"]}}  # until the next look
        if self.is_deleted or event["job"] == self._job:
            return
        self._job = event["job"]
        if self._job["status"] != Status.RUNNING:
            self._partials.clear()
        self._set_status_text(events.encode(event))

    def _set_status_text(self, text: str) -> None:
        self._status = Newest(self._next_version(text), text)

    def _next_version(self, text: str) -> int:
        self._version += 1
        self._notify_all(text)
        return self._version

    def _notify_all(self, text: str) -> None:
        """Let every viewer look what is new, now that `text` is."""
        self._texts_after.clear()
        self._newest_snapshot = None
        self.published_characters += len(text)
        for subscriber in self.subscribers:
            subscriber.notify()


class Final(NamedTuple):
    """A stored final, and the text of its event."""

    seq: int
    slot: str
    text: str


def finals_between(job_id: UUID, after: int, last: int) -> list[Final]:
    """Return a job's finals after number `after` up to number `last`."""
    segments = Segment.objects.filter(job_id=job_id, seq__gt=after, seq__lte=last).order_by("seq")
    rows = segments.values_list(*events.Row._fields[:-1], Cast("words", TextField()))
    made = (events.Row._make((*known, orjson.Fragment(words))) for *known, words in rows)
    return [Final(row.seq, row.slot, events.encode(events.final(row))) for row in made]
