"""A feed: one process's view of one job that somebody here watches. `feeds.py` keeps them up to date.

It keeps what its viewers need: finals as a log, partials as a register of the newest in each slot, and the
newest state, each as the text that goes over the socket. It never sends: every viewer reads from it at a cursor
of its own, so one who is slow skips partials that are out of date and slows nobody.

What the channel layer loses is noticed by its number (every message says how many finals its sender had stored)
and fetched from the database.
"""

import asyncio
import json
from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import TextField
from django.db.models.functions import Cast

from streaming import close_codes, events
from streaming.database import in_thread, shared
from streaming.models import Job, Segment, Status

LOG_LENGTH = 500  # finals kept in memory; a viewer who is further behind gets them from the database
PAGE = 500  # finals fetched at a time
MOST_BEHIND = (
    1024 * 1024
)  # characters published while a viewer does not take what it was sent before: then it is closed


class Cursor:
    """How far one viewer has come in a feed: the last final and the version of the register that it was sent.

    `session_key` says whose it is; `send_away` is called, at most once in effect, with the code to close with.
    """

    def __init__(self, session_key: str | None, send_away: Callable[[int], None]) -> None:
        self.session_key = session_key
        self.send_away = send_away
        self.seq = 0
        self.version = 0
        self.sync_after: int | None = None  # the viewer asked for a new snapshot, of what comes after this
        self.changed = asyncio.Event()
        self.sending_since: int | None = None  # how much had been published when its socket was given what it takes now


class Partial(NamedTuple):
    """The newest partial of a slot: made after final number `seq`."""

    seq: int
    version: int
    text: str


class Feed:
    """One watched job. Made and kept up to date by `Feeds`."""

    def __init__(self, job_id: UUID) -> None:
        self.job_id = job_id
        self.seq = 0  # the number of the last final that is known here
        self.loaded = asyncio.Event()
        self.is_gone = False
        self.is_subscribed = False
        self._attempt = 0
        self._job: dict[str, Any] = {}
        self._log: deque[tuple[int, str]] = deque(maxlen=LOG_LENGTH)
        self._partials: dict[str, Partial] = {}
        self._status: tuple[int, str] = (0, "")  # version and text
        self._version = 0
        self._cursors: set[Cursor] = set()
        self._texts_after: dict[tuple[int, int], list[str]] = {}  # what `pending` found, until something is new
        self.published = 0  # characters, of all that was ever to be sent to viewers
        self._catching_up = asyncio.Lock()

    # For viewers

    def enter(self, cursor: Cursor) -> None:
        """Take in a new viewer; `resync` gives it its snapshot."""
        self._cursors.add(cursor)

    async def resync(self, cursor: Cursor, after: int) -> str:
        """Move a cursor behind all that is known, and return the snapshot that shows what comes after `after`.

        The finals are read first and the register after: what comes later is sent by `pending`. Who joins together
        gets one snapshot.
        """
        cursor.seq, cursor.version, text = await shared((self, after), lambda: self._snapshot(after))
        return text

    async def _snapshot(self, after: int) -> tuple[int, int, str]:
        """Return the last final of a snapshot, its version of the register, and its text."""
        segments = await in_thread(finals_after)(self.job_id, after)
        seq = max([min(after, self.seq), *(segment.seq for segment in segments)])
        if not self._job:
            return seq, self._version, events.encode(events.gone())  # deleted before it was ever read
        stored = {segment.slot: segment.seq for segment in sorted(segments, key=lambda segment: segment.seq)}
        # The database may be ahead of the messages: a partial that has become one of these finals is over.
        partials = [
            json.loads(partial.text) for slot, partial in self._partials.items() if partial.seq >= stored.get(slot, 0)
        ]
        return seq, self._version, events.encode(events.snapshot(self._job, segments, partials, seq))

    def leave(self, cursor: Cursor) -> None:
        self._cursors.discard(cursor)

    @property
    def has_viewers(self) -> bool:
        return bool(self._cursors)

    @property
    def cursors(self) -> Collection[Cursor]:
        return self._cursors

    def pending(self, cursor: Cursor) -> list[str] | None:
        """Return what a viewer has not been sent yet: finals in order, the state, the newest partials.

        Returns None where it is so far behind that `read_on` has to be asked. Who is at the same place gets the same.
        """
        place = cursor.seq, cursor.version
        texts = self._texts_after.get(place)
        if texts is None:
            if cursor.seq < self.seq and not (self._log and self._log[0][0] <= cursor.seq + 1):
                return None
            texts = [text for seq, text in self._log if seq > cursor.seq]
            # The state first: one of a new attempt ends what the viewer shows of the attempt before.
            newest = sorted((partial.version, partial.text) for partial in self._partials.values())
            texts += [text for version, text in [self._status, *newest] if version > cursor.version]
            self._texts_after[place] = texts
        cursor.seq, cursor.version = max(cursor.seq, self.seq), self._version
        return texts

    async def read_on(self, cursor: Cursor) -> list[str]:
        """Return the next page of finals for a viewer who is far behind; `pending` is to be asked again after it."""
        segments = await in_thread(finals_after)(self.job_id, cursor.seq, PAGE)
        cursor.seq = segments[-1].seq if segments else self.seq  # deleted in the meantime
        cursor.changed.set()
        return [events.encode(events.final(segment)) for segment in segments]

    # For the hub

    def apply(self, message: dict[str, Any]) -> bool:
        """Take a message of the channel layer. Returns False, and takes nothing, if something before it is missing."""
        kind, seq, text = message["kind"], message["seq"], message["text"]
        if self.is_gone or message["attempt"] < self._attempt:
            return True  # of a worker that has lost the job
        if kind == "error":
            self.end()
            return True
        if seq > self.seq + (kind == "final") or (kind != "status" and message["attempt"] > self._attempt):
            return False
        self._set_attempt(message["attempt"])
        if kind == "final" and seq > self.seq:
            self._partials.pop(message["slot"], None)
            self._append(seq, text)
        elif kind == "partial" and seq == self.seq:  # an older one was overtaken by a final
            self._partials[message["slot"]] = Partial(seq, self._next_version(text), text)
        elif kind == "status":
            self._set_status(json.loads(text))
        return True

    async def catch_up(self) -> None:
        """Read the job, and the finals that are missing, from the database."""
        async with self._catching_up:
            before = self._status
            job = await in_thread(Job.objects.filter(pk=self.job_id).first)()
            if job is None:
                self.end()
                return
            if not self.loaded.is_set():
                self.seq = job.segment_count  # who joins reads the finals before it by himself
            while segments := await in_thread(finals_after)(self.job_id, self.seq, PAGE):
                for segment in segments:
                    self._partials.pop(segment.slot, None)
                    self._append(segment.seq, events.encode(events.final(segment)))
            # A state that came as a message in the meantime is newer than the row.
            if self._status is before and job.attempt >= self._attempt:
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

    def tell_place(self, places: Mapping[UUID, int]) -> None:
        """Tell the viewers of a job that waits when it has its turn, if that has changed."""
        job = events.queued(self._job, places)
        if self._job["status"] == Status.QUEUED and job != self._job:
            self._set_status({"type": "status", "job": job})

    def end(self) -> None:
        """Tell the viewers that the job was deleted."""
        if not self.is_gone:
            self.is_gone = True
            self._partials.clear()
            self._set_status_text(events.encode(events.gone()))

    # Inside

    def _append(self, seq: int, text: str) -> None:
        if seq == self.seq + 1:  # else a message and the database met, and it is here already
            self.seq = seq
            self._log.append((seq, text))
            self._wake(text)

    def _set_attempt(self, attempt: int) -> None:
        if attempt > self._attempt:
            self._attempt = attempt
            self._partials.clear()  # of a worker that has lost the job

    def _set_status(self, event: events.Event) -> None:
        if event["job"]["status"] == Status.QUEUED and "queue" in self._job:
            event = {**event, "job": {"queue": self._job["queue"], **event["job"]}}  # until the next look
        self._job = event["job"]
        if self._job["status"] != Status.RUNNING:
            self._partials.clear()
        self._set_status_text(events.encode(event))

    def _set_status_text(self, text: str) -> None:
        self._status = (self._next_version(text), text)

    def _next_version(self, text: str) -> int:
        self._version += 1
        self._wake(text)
        return self._version

    def _wake(self, text: str) -> None:
        """Let every viewer look what is new, now that `text` is; send away who has long taken nothing."""
        self._texts_after.clear()
        self.published += len(text)
        for cursor in self._cursors:
            cursor.changed.set()
            if cursor.sending_since is not None and self.published - cursor.sending_since > MOST_BEHIND:
                cursor.sending_since = None
                cursor.send_away(close_codes.TRY_AGAIN)


def finals_after(job_id: UUID, seq: int, limit: int | None = None) -> list[Segment]:
    """Return a job's finals after number `seq`, with their words as the text that the database has of them."""
    segments = Segment.objects.filter(job_id=job_id, seq__gt=seq).order_by("seq").defer("words")
    return list(segments.annotate(words_text=Cast("words", TextField()))[:limit])
