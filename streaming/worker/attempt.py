"""One attempt at a job, from the claim to its end. `runner.py` creates an attempt for each claimed job.

An attempt decodes the recording, runs the engine, stores the finals and publishes events to viewers. It has two tasks:
one transcribes, the other extends the lease. If either learns that the job was claimed by another worker, cancelled or
deleted (`LostClaim`), both end. No cleanup is needed if the process dies: the finals are stored, the lease expires, and
the next attempt resumes after the last final.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from django.conf import settings
from django.db import Error

from streaming import events, log, metrics, outages, publisher
from streaming.db import TRANSIENT, in_thread
from streaming.engines.base import Engine, EngineBusy, EngineError
from streaming.jobs import lifecycle
from streaming.models import Job, Status
from streaming.results import Result, storable
from streaming.spool import Spool, open_spool
from streaming.worker import preemption
from streaming.worker.retry import transcribe_with_retries
from uploads.decoder.client import DecodingError
from uploads.files.storage import StorageAway, StorageRefused

logger = logging.getLogger(__name__)

REASON_CHARACTERS = 1000  # the longest error message stored
HEARTBEAT_SECONDS = 1.0  # between two status events of a running job, and between two tries of a failed write
# How long a job counts as watched after the last report of viewers. A process with viewers reports them every 2 s. A
# new attempt counts as watched for as long without a report, because pages may still be opening.
WATCHED_SECONDS = 10.0

Value = TypeVar("Value")
Publish = Callable[[str, dict[str, Any]], None]


async def write_with_retries(write: Callable[..., Value], *args: Any, **kwargs: Any) -> Value:
    """Run `write` in a thread and return its result. Retries until the database accepts the write.

    If the outage outlasts the lease, another worker may claim the job; `write` then raises `LostClaim`.
    """
    while True:
        try:
            return await in_thread(write)(*args, **kwargs)
        except TRANSIENT:
            logger.exception("Could not write to the database; trying again")
            await asyncio.sleep(HEARTBEAT_SECONDS)


class Preempted(Exception):
    """The job was returned to the queue so that another person's job can run."""


class Attempt:
    """Runs one claimed job. `publish` queues a message for the channel layer and returns at once."""

    def __init__(self, job: Job, engine: Engine, folder: Path, publish: Publish) -> None:
        self.job = job
        self._engine = engine
        self._folder = folder
        self._publish = publish
        self._partials: dict[str, events.Event] = {}
        self._spool: Spool | None = None
        self._is_check_due = asyncio.Event()
        self.began_at = self._watched_at = time.monotonic()
        self._outcome = "handed_back"  # the outcome if the attempt is cancelled
        # Set by the runner: at the next final the attempt preempts its job, if another person's job still waits then.
        self.is_to_be_preempted = False

    async def run(self) -> None:
        """Transcribe until the job has ended or is lost. If cancelled, the caller returns the job to the queue."""
        with log.job_context(self.job.pk, self.job.attempt):
            # For later attempts the start of the wait is unknown.
            if self.job.attempt == 1 and self.job.started_at is not None:
                waited = self.job.started_at - self.job.created_at
                metrics.QUEUE_WAIT.labels(self.job.engine).observe(max(0.0, waited.total_seconds()))
            self._send_status()
            try:
                async with asyncio.TaskGroup() as group:
                    heartbeat = group.create_task(self._heartbeat())
                    await self._transcribe()
                    heartbeat.cancel()
            except* lifecycle.LostClaim:
                # A preemption also makes the heartbeat raise `LostClaim`; that is not a loss.
                if self._outcome != "preempted":
                    self._outcome = "lost"
            finally:
                logger.info("Attempt ended: %s", self._outcome.replace("_", " "))
                metrics.ATTEMPTS_ENDED.labels(self.job.engine, self._outcome).inc()

    def check_lease(self) -> None:
        """Extend the lease now rather than at the next heartbeat. If the job is lost, that ends the attempt."""
        self._is_check_due.set()

    def note_viewers(self) -> None:
        """Note that the job has viewers: the engine yields partials for another `WATCHED_SECONDS`."""
        self._watched_at = time.monotonic()

    def is_watched(self) -> bool:
        """Return whether viewers were reported in the last `WATCHED_SECONDS`. The engine calls this."""
        return time.monotonic() - self._watched_at < WATCHED_SECONDS

    @property
    def is_preemptible(self) -> bool:
        return self._engine.is_preemptible

    def republish(self) -> None:
        """Publish the partials and the status again for a new feed, which can't read them from the database."""
        for partial in self._partials.values():
            self._send(partial)
        self._send_status()

    async def _transcribe(self) -> None:
        """Run the job: 1. decode the recording, 2. run the engine, 3. store and publish its results, 4. end the job."""
        try:
            channels = self._engine.channels(self.job.options)
            async with open_spool(self.job.upload, self._folder, channels, self.job.track) as spool:
                self._spool = spool
                outages.STORAGE.worked()
                await self._run_engine(spool)
                if abs(spool.seconds - self.job.duration) > 0.01:
                    self.job.duration = spool.seconds
                    await write_with_retries(lifecycle.set_duration, self.job, spool.seconds)
        except EngineBusy as busy:
            logger.info("Job postponed: %s", busy)
            await self._postpone(str(busy))
        except StorageRefused as refused:
            metrics.FAILURES.labels("storage").inc()
            logger.warning("The job failed: %s", refused)
            await self._finish(Status.FAILED, str(refused), position=self.job.position)
        except StorageAway as away:
            # The storage may answer another worker, or this one later, so postpone the job instead of failing it.
            metrics.FAILURES.labels("storage").inc()
            logger.warning("Job postponed: %s", away)
            await self._postpone(f"{away} The job retries automatically.", is_for_room=False)
        except (EngineError, DecodingError) as error:
            logger.warning("The job failed: %s", error)
            # Only a decoder's error can rule out a retry (`is_final`). After an engine's error an administrator may
            # change the configuration, and a retry may then succeed.
            is_final = isinstance(error, DecodingError) and error.is_final
            await self._finish(Status.FAILED, str(error), position=self.job.position, is_final=is_final)
        except OSError as error:
            # The spool could not be written or read: the disk is full or failing.
            logger.exception("The job failed on a disk error")
            reason = f"The server could not store the decoded audio on its disk: {error.strerror or error}."
            await self._finish(Status.FAILED, reason, position=self.job.position)
        except Preempted:
            logger.info("Job preempted for another person's job")
        except lifecycle.LostClaim:
            raise
        except Exception:
            # A bug. The person gets a general sentence; the log has the traceback.
            logger.exception("The job failed on an unexpected error")
            await self._finish(Status.FAILED, "Something went wrong.", position=self.job.position)
        else:
            await self._finish(Status.COMPLETED, position=self.job.duration)

    async def _run_engine(self, spool: Spool) -> None:
        request = replace(await write_with_retries(lifecycle.remaining, self.job), is_watched=self.is_watched)

        def seconds_transcribed() -> float | None:
            has_all = spool.is_complete and spool.position >= spool.seconds
            return None if has_all else spool.position - request.start_time

        with metrics.stream(self.job.engine, seconds_transcribed):
            async with aclosing(transcribe_with_retries(self._engine, spool, request)) as results:
                async for result in results:
                    await self._handle_result(result)

    async def _handle_result(self, result: Result) -> None:
        self._advance()
        if result.is_partial:
            event = events.partial(result)
            self._partials[result.slot] = event
            if not result.text:
                del self._partials[result.slot]  # an empty partial withdraws the one before it
            self._send(event)
            return
        # Store before publishing: a viewer must not see a final that a crash could lose.
        seq = self.job.segment_count + 1
        segment = await write_with_retries(
            lifecycle.store_final, self.job.pk, self.job.attempt, seq, result, self.job.position
        )
        self.job.segment_count, self.job.lost_count = seq, 0
        self._count_stable_prefix(self._partials.pop(result.slot, None), result)
        self._send(events.final(segment))
        if self.is_to_be_preempted:
            if await write_with_retries(preemption.preempt, self.job):
                self._outcome = "preempted"
                raise Preempted
            self.is_to_be_preempted = False  # no other person's job waits any more

    def _count_stable_prefix(self, partial: events.Event | None, final: Result) -> None:
        """Count in the metrics whether a final begins with the stable prefix of its last partial."""
        if partial is not None and (stable := partial.get("stable")):
            kept = final.text.startswith(partial["text"][:stable])
            metrics.STABLE_PREFIXES.labels(self.job.engine, "kept" if kept else "broken").inc()

    async def _heartbeat(self) -> None:
        """Publish the status every second, and extend the lease four times per lease duration. Raises `LostClaim`."""
        extend_seconds = settings.TRANSCRIBE_LEASE_SECONDS / 4
        extended_at = time.monotonic()
        while True:
            try:
                async with asyncio.timeout(min(HEARTBEAT_SECONDS, extend_seconds)):
                    await self._is_check_due.wait()
            except TimeoutError:
                pass  # the regular heartbeat: nothing asked for an immediate check
            self._advance()
            if self._is_check_due.is_set() or time.monotonic() - extended_at >= extend_seconds:
                self._is_check_due.clear()
                extended_at = time.monotonic()
                try:
                    await in_thread(lifecycle.extend_lease)(self.job.pk, self.job.attempt, self.job.position)
                except Error:
                    # The database may be restarting. Another worker may claim the job once its lease has expired; the
                    # next call then raises LostClaim.
                    logger.exception("Could not extend the lease")
            self._send_status()

    async def _finish(self, status: Status, reason: str = "", **changes: Any) -> None:
        # The reason may quote anything; characters that the database refuses must not prevent the job's end.
        reason = storable(reason)[:REASON_CHARACTERS]
        # Set before awaiting: once the thread has started, cancellation can't stop the commit.
        self._outcome = str(status)
        await write_with_retries(lifecycle.finish, self.job.pk, self.job.attempt, status, reason, **changes)

    async def _postpone(self, reason: str, *, is_for_room: bool = True) -> None:
        self._outcome = "postponed"
        await write_with_retries(lifecycle.postpone, self.job.pk, self.job.attempt, reason, is_for_room=is_for_room)

    def _advance(self) -> None:
        if self._spool is not None:
            self.job.position = max(self.job.position, self._spool.position)

    def _send_status(self) -> None:
        self._send(events.status(self.job))

    def _send(self, event: events.Event) -> None:
        job = self.job
        metrics.EVENTS_PUBLISHED.inc()
        self._publish(publisher.feed_group(job.pk), publisher.envelope(job.pk, job.attempt, job.segment_count, event))
