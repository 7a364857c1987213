"""A feed: the events of one job, shared by all viewers of that job in this process. `hub.py` keeps feeds up to date.

A feed holds the finals as a log, the newest partial of each slot, and the newest status, each encoded as the text that
the sockets send. A feed never sends. Each viewer is a subscriber with its own position and reads from the feed, so a
slow viewer skips stale partials and does not delay the others. The log keeps older finals for some seconds after a
viewer needed them, so that hundreds of viewers that join together share one query.

Every message names the number of finals that its sender had stored. A gap in these numbers reveals that the channel
layer lost a message; the feed then reads the missing finals from the database.
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

LOG_LENGTH = 500  # finals that always stay in memory; a viewer that is further behind gets them from the database
LONG_LOG_SECONDS = 10.0  # how long the log keeps older finals after a viewer needed them
# Finals per query, at most LOG_LENGTH: a viewer that needs `read_page` lacks more than LOG_LENGTH finals, so one page
# can't go past the end of the feed's log.
PAGE = 500
MAX_UNREAD_CHARACTERS = 1024 * 1024  # a viewer that reads nothing while so many are published is evicted


class Newest(NamedTuple):
    """The newest text of the status or of a slot's partial, and the feed's version at which it was set."""

    version: int
    text: str


class Feed:
    """The events of one watched job. `Hub` creates it and passes it messages."""

    def __init__(self, job_id: UUID) -> None:
        self.job_id = job_id
        self.seq = 0  # the number of the last final in the log
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
        # Caches, valid until the next event: the results of `pending` by position, and the last snapshot.
        self._texts_after: dict[tuple[int, int], list[str]] = {}
        self._newest_snapshot: tuple[int, str] | None = None
        self.published_characters = 0  # total length of all events so far
        self._catching_up = asyncio.Lock()

    # For viewers

    def add(self, subscriber: Subscriber) -> None:
        """Add a new viewer. Call `resync` for its snapshot."""
        self.subscribers.add(subscriber)

    async def resync(self, subscriber: Subscriber, after: int) -> str:
        """Move a subscriber to the newest event, and return the snapshot with the finals after number `after`.

        `pending` returns later events. Viewers that join with the same `after` between two events share one snapshot.
        Raises the database's errors.
        """
        if after > self.seq:
            await self.catch_up()  # the viewer has seen more finals, in another process
        await self._reach_back(after)
        if self._newest_snapshot is None or self._newest_snapshot[0] != after:
            self._newest_snapshot = after, self._snapshot(min(after, self.seq))
        subscriber.seq, subscriber.version = self.seq, self._version
        return self._newest_snapshot[1]

    async def _reach_back(self, after: int) -> None:
        """Extend the log backwards until it holds all finals after this number. No query if it does."""
        async with self._reaching_back:
            if after < self.seq - LOG_LENGTH:
                self._long_until = asyncio.get_running_loop().time() + LONG_LOG_SECONDS
            while after < (begin := self._begin):
                finals = await in_thread(finals_between)(self.job_id, after, begin)
                if len(finals) < begin - after:
                    return  # the job was deleted during the query
                if self._begin == begin:
                    self._log[:0] = [final.text for final in finals]

    def _snapshot(self, after: int) -> str:
        if self.is_deleted or not self._job:
            return events.encode(events.job_deleted())
        partials = [partial.text for partial in self._partials.values()]
        return events.snapshot(self._job, self._log[max(0, after - self._begin) :], partials, self.seq)

    @property
    def _begin(self) -> int:
        """The number of the last final before the log; the log holds the finals from `_begin` + 1 to `seq`."""
        return self.seq - len(self._log)

    def remove(self, subscriber: Subscriber) -> None:
        """Remove a viewer, and add its last messages to the metrics."""
        self.subscribers.discard(subscriber)
        subscriber.count_sent()

    @property
    def is_running(self) -> bool:
        """Whether a worker runs the job, as far as this feed knows."""
        return bool(self._job.get("status") == Status.RUNNING)

    def pending(self, subscriber: Subscriber) -> list[str] | None:
        """Return the events that a viewer has not been sent: finals in order, the status, and the newest partials.

        Advances the subscriber's position. Returns None, without advancing, if the log no longer reaches back to the
        position: call `read_page` then. Viewers at the same position share one list; do not change it.
        """
        place = subscriber.seq, subscriber.version
        texts = self._texts_after.get(place)
        if texts is None:
            if subscriber.seq < self._begin:
                return None
            texts = self._log[subscriber.seq - self._begin :] if subscriber.seq < self.seq else []
            # The status before the partials: the status of a new attempt makes viewers drop the old attempt's partials.
            newest = [self._status, *sorted(self._partials.values())]
            texts += [text for version, text in newest if version > subscriber.version]
            self._texts_after[place] = texts
        subscriber.seq, subscriber.version = max(subscriber.seq, self.seq), self._version
        return texts

    async def read_page(self, subscriber: Subscriber) -> list[str]:
        """Return the next finals from the database for a viewer that is far behind, and advance its position.

        Notifies the subscriber, so that its consumer calls `pending` again.
        """
        finals = await in_thread(finals_between)(self.job_id, subscriber.seq, subscriber.seq + PAGE)
        subscriber.seq = finals[-1].seq if finals else self.seq  # the job was deleted during the query
        subscriber.notify()
        return [final.text for final in finals]

    # For the hub

    def apply(self, message: dict[str, Any]) -> bool:
        """Apply a message of the channel layer. Returns False, and ignores it, if an earlier message is missing."""
        kind, seq, text = message["kind"], message["seq"], message["text"]
        if self.is_deleted or message["attempt"] < self._attempt:
            return True  # from a worker that has lost the job
        if kind == "error":
            self.mark_deleted()
            return True
        status = json.loads(text) if kind == "status" else None
        is_of_running = kind == "partial" or (status is not None and status["job"]["status"] == Status.RUNNING)
        if is_of_running and message["attempt"] == self._attempt and self._job["status"] != Status.RUNNING:
            # This message is late: the feed already knows that the attempt has ended. Ignore the message, because an
            # ended attempt never runs again.
            return True
        # In these two cases the channel layer lost an earlier message: a final, or the status of the new attempt.
        if seq > self.seq + (kind == "final") or (kind != "status" and message["attempt"] > self._attempt):
            return False
        self._set_attempt(message["attempt"])
        if kind == "final" and seq > self.seq:
            self._partials.pop(message["slot"], None)
            self._append(seq, text)
        elif kind == "partial" and seq == self.seq:  # else a final has overtaken this partial
            self._partials[message["slot"]] = Newest(self._next_version(text), text)
        elif status is not None:
            self._set_status(status)
        return True

    async def catch_up(self) -> None:
        """Read the job and the missing finals from the database. Concurrent calls run one after the other."""
        async with self._catching_up:
            before = self._status
            job = await in_thread(Job.objects.filter(pk=self.job_id).first)()
            if job is None:
                self.mark_deleted()
                return
            if not self.loaded.is_set():
                self.seq = job.segment_count  # earlier finals are loaded lazily by `_reach_back`
            while self.seq < job.segment_count and (
                finals := await in_thread(finals_between)(self.job_id, self.seq, self.seq + PAGE)
            ):
                for final in finals:
                    self._partials.pop(final.slot, None)
                    self._append(final.seq, final.text)
            # A status received during the query wins, because it is usually newer than the row. In one case the row is
            # newer: the feed's status is “running”, and the row's is not (both halves of the chained comparison). The
            # attempt is the same, and an ended attempt never runs again.
            is_newest = self._status is before or (self._job["status"] == Status.RUNNING != job.status)
            if job.attempt > self._attempt or (job.attempt == self._attempt and is_newest):
                self._set_attempt(job.attempt)
                self._set_status(events.status(job))
            self.loaded.set()  # from here on `Hub` passes messages to `apply`

    def is_behind(self, row: dict[str, Any]) -> bool:
        """Return whether a job's row (`attempt`, `status`, `segment_count`) is newer than all messages received."""
        return (
            row["segment_count"] > self.seq
            or row["attempt"] > self._attempt
            or (row["attempt"] == self._attempt and row["status"] != self._job["status"])
        )

    def update_place(self, places: Mapping[UUID, int]) -> None:
        """Update the queue position of a queued job from `places` (by job id). Notifies viewers of a change."""
        job = events.queued(self._job, places)
        if self._job["status"] == Status.QUEUED and job != self._job:
            self._set_status({"type": "status", "job": job})

    def evict_stalled(self) -> None:
        """Evict viewers that have read nothing while 1 MiB was published.

        `Hub` calls this every 2 s, so brief stalls are tolerated.
        """
        for subscriber in self.subscribers:
            is_stalled = not subscriber.count_sent()
            since = subscriber.published_at_send
            if is_stalled and since is not None and self.published_characters - since > MAX_UNREAD_CHARACTERS:
                subscriber.evict(close_codes.TRY_AGAIN)

    def shorten_log(self) -> None:
        """Drop all but the last `LOG_LENGTH` finals, if no viewer needed older ones in the last `LONG_LOG_SECONDS`."""
        if asyncio.get_running_loop().time() > self._long_until:
            del self._log[:-LOG_LENGTH]

    def mark_deleted(self) -> None:
        """Send viewers the error that the job was deleted, and ignore later messages."""
        if not self.is_deleted:
            self.is_deleted = True
            self.loaded.set()  # wake tasks that wait for the job to be loaded
            self._partials.clear()
            self._set_status_text(events.encode(events.job_deleted()))

    # Internal

    def _append(self, seq: int, text: str) -> None:
        if seq == self.seq + 1:  # else the final is in the log already, from a message or from the database
            self.seq = seq
            self._log.append(text)
            if len(self._log) > 2 * LOG_LENGTH:
                self.shorten_log()
            self._notify_all(text)

    def _set_attempt(self, attempt: int) -> None:
        if attempt > self._attempt:
            self._attempt = attempt
            self._partials.clear()  # they are from a worker that has lost the job

    def _set_status(self, event: events.Event) -> None:
        if event["job"]["status"] == Status.QUEUED and "queue" in self._job:
            # The event lacks the job's place in the queue. Keep the last known one until `update_place` sets the next.
            event = {**event, "job": {"queue": self._job["queue"], **event["job"]}}
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
        """Clear the caches and notify all subscribers of the new event `text`."""
        self._texts_after.clear()
        self._newest_snapshot = None
        self.published_characters += len(text)
        for subscriber in self.subscribers:
            subscriber.notify()


class Final(NamedTuple):
    """A stored final with the encoded text of its event."""

    seq: int
    slot: str
    text: str


def finals_between(job_id: UUID, after: int, last: int) -> list[Final]:
    """Return a job's finals with numbers from `after` + 1 to `last`, in order. One query."""
    segments = Segment.objects.filter(job_id=job_id, seq__gt=after, seq__lte=last).order_by("seq")
    rows = segments.values_list(*events.Row._fields[:-1], Cast("words", TextField()))
    made = (events.Row._make((*known, orjson.Fragment(words))) for *known, words in rows)
    return [Final(row.seq, row.slot, events.encode(events.final(row))) for row in made]
