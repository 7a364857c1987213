"""Live lists: find changed recordings and jobs for all sockets of this process that show lists of them.

Data flow: 1. `Library` polls the database, once for all sockets. 2. `Listing.update` compares the rows with the events
that its socket was sent. 3. The socket's consumer (`library_consumer.py`) sends the difference. Changes come from the
database alone, so no lost message can hide one; a list may lag by three seconds. The channel layer is used only to
re-check access as soon as a session ends.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from uuid import UUID
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer
from django.db import Error

from streaming import events, publisher
from streaming.db import in_thread
from streaming.live import close_codes
from streaming.live.library_rows import Rows, read, read_active, visible

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0  # between two polls of active jobs
FULL_POLL_SECONDS = 3.0  # between two polls of all rows, which find new jobs, new names and deleted rows
RECHECK_SECONDS = 5.0  # between two access checks of a socket
LAYER_TIMEOUT_SECONDS = 2.0  # an unavailable channel layer must not delay a list for longer


class Listing:
    """The list that one socket shows. `ids` are ids of recordings, which bring their jobs, and of jobs.

    At most one event is pending for each row, because a newer event replaces it. So the memory of a slow socket is
    bounded by the number of its rows. `evict` closes the socket with a close code.
    """

    def __init__(self, session_key: str | None, ids: frozenset[UUID], evict: Callable[[int], None]) -> None:
        self.session_key = session_key
        self.ids = ids
        self.evict = evict
        self.visible: set[UUID] = set()
        self.checked_jobs: set[UUID] = set()  # jobs that the last access check covered
        self.checked_at = float("-inf")
        self.is_open = False  # whether its snapshot was made; only then is it polled
        self._sent: dict[tuple[str, UUID], events.Event] = {}  # by kind and id: the newest event, sent or pending
        self._pending: dict[tuple[str, UUID], events.Event] = {}
        self._is_notified = asyncio.Event()

    def jobs_in(self, rows: Rows) -> set[UUID]:
        """Return the jobs among `rows` that belong to this list, including those that its person may not see."""
        of_uploads = {job for upload in self.ids for job in rows.jobs_of.get(upload, ())}
        return of_uploads | (self.ids & rows.jobs.keys())

    def update(self, rows: Rows, *, is_full: bool) -> None:
        """Queue the changes since the last call. `is_full`: `rows` are complete, so a missing row was deleted."""
        shown: dict[tuple[str, UUID], events.Event] = {}
        for upload in self.ids & self.visible & rows.uploads.keys():
            shown["upload", upload] = rows.uploads[upload]
        for job in self.jobs_in(rows) & self.visible:
            shown["job", job] = rows.jobs[job]
            if job in rows.words:
                shown["words", job] = rows.words[job]
        for key, event in shown.items():
            if self._sent.get(key) != event:
                self._pending[key] = event
        if is_full:
            for kind, pk in self._sent.keys() - shown.keys():
                self._pending.pop((kind, pk), None)
                del self._sent[kind, pk]
                if kind != "words":
                    self._pending["removed", pk] = {"type": "removed", "id": str(pk)}
        self._sent |= shown
        if self._pending:
            self._is_notified.set()

    def snapshot(self, rows: Rows) -> events.Event:
        """Start again with complete `rows`, and return the first message."""
        self._sent.clear()
        self.update(rows, is_full=True)
        self._pending = {key: event for key, event in self._pending.items() if key[0] == "words"}
        uploads = [event["upload"] for (kind, _), event in self._sent.items() if kind == "upload"]
        jobs = [event["job"] for (kind, _), event in self._sent.items() if kind == "job"]
        return {"type": "snapshot", "uploads": uploads, "jobs": jobs}

    async def wait(self) -> list[events.Event]:
        """Wait for changes, and return their events. One task at a time may wait."""
        await self._is_notified.wait()
        self._is_notified.clear()
        pending, self._pending = self._pending, {}
        return list(pending.values())


class Library:
    """The listings of this process. Its background tasks run while there is at least one listing."""

    def __init__(self) -> None:
        self._listings: set[Listing] = set()
        self._active: set[UUID] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._is_subscribed = asyncio.Event()
        self._is_check_due = asyncio.Event()  # set when a session may have ended: check access now
        self._checks_asked = 0  # messages received; `watch` compares it to notice one during its own check

    @asynccontextmanager
    async def watch(self, listing: Listing) -> AsyncIterator[events.Event]:
        """Keep a listing up to date while the context lasts. Yields its snapshot. Raises the database's errors."""
        self._listings.add(listing)
        try:
            if not self._tasks:
                self._tasks = [asyncio.create_task(run()) for run in (self._poll, self._receive_checks)]
            with suppress(TimeoutError):  # without a subscription, the periodic checks notice sign-outs
                async with asyncio.timeout(LAYER_TIMEOUT_SECONDS):
                    await self._is_subscribed.wait()
            checks_asked = self._checks_asked
            rows = await in_thread(read)(listing.ids)
            await self._recheck_access(listing, rows)
            snapshot = listing.snapshot(rows)
            self._active |= rows.active
            listing.is_open = True
            if self._checks_asked != checks_asked:
                self._is_check_due.set()  # a session ended during the check above, so check again
            yield snapshot
        finally:
            self._listings.discard(listing)
            if not self._listings:
                tasks, self._tasks = self._tasks, []
                for task in tasks:
                    task.cancel()
                if tasks:
                    await asyncio.wait(tasks)

    async def _recheck_access(self, listing: Listing, rows: Rows) -> None:
        """Determine which rows a listing may show now. Evicts the socket if its session has ended."""
        jobs = listing.jobs_in(rows)
        found = await in_thread(visible)(listing.session_key, listing.ids, jobs)
        listing.checked_jobs = jobs
        listing.visible = found or set()
        listing.checked_at = time.monotonic()
        if found is None:
            listing.evict(close_codes.NOT_SIGNED_IN)

    async def _poll(self) -> None:
        """Update all listings every `POLL_SECONDS`, and when an access check is due, until cancelled."""
        full_at = time.monotonic()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._is_check_due.wait()
            is_check_due = self._is_check_due.is_set()
            self._is_check_due.clear()
            is_full = is_check_due or time.monotonic() - full_at >= FULL_POLL_SECONDS
            listings = [listing for listing in self._listings if listing.is_open]
            try:
                if is_full:
                    full_at = time.monotonic()
                    rows = await in_thread(read)(frozenset().union(*(listing.ids for listing in listings)))
                else:
                    rows = await in_thread(read_active)(self._active)
                self._active = rows.active
                for listing in listings:
                    is_due = is_check_due or time.monotonic() - listing.checked_at >= RECHECK_SECONDS
                    if is_full and (is_due or not listing.jobs_in(rows) <= listing.checked_jobs):
                        await self._recheck_access(listing, rows)
                    listing.update(rows, is_full=is_full)
            except Error as error:
                # The database is restarting or locked. The next poll finds the changes that this one missed.
                logger.warning("Could not compare the lists with the database; trying again", exc_info=error)
            except Exception:
                # A bug in one listing must not end the updates of all.
                logger.exception("Could not compare the lists with the database; trying again")

    async def _receive_checks(self) -> None:
        """Make `_poll` check access when a session ends, until cancelled. Subscribes again after an outage."""
        layer = get_channel_layer()
        while True:
            channel = ""
            try:
                channel = await layer.new_channel()
                await layer.group_add(publisher.WATCHERS, channel)
                self._is_subscribed.set()
                while True:
                    await layer.receive(channel)
                    self._checks_asked += 1
                    self._is_check_due.set()
            except Exception:  # of any class, from the layer's client: the periodic checks continue
                logger.exception("The channel layer did not answer; trying again")
                await asyncio.sleep(POLL_SECONDS)
            finally:
                self._is_subscribed.clear()
                with suppress(Exception):  # of any class, from the layer's client: nothing reads this channel any more
                    async with asyncio.timeout(LAYER_TIMEOUT_SECONDS):
                        await layer.group_discard(publisher.WATCHERS, channel)


_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Library] = WeakKeyDictionary()


def get_library() -> Library:
    """Return the library of the running event loop: a process has one loop, each test its own."""
    return _of_loop.setdefault(asyncio.get_running_loop(), Library())
