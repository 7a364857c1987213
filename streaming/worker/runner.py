"""The worker's loop: claim jobs and run them. `serve` runs it on the server's event loop, `run_jobs` on its own.

A message over the channel layer wakes the loop when there is work. It also polls every second, so a lost message
delays a job by a second at most.
"""

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from uuid import UUID

from channels.layers import get_channel_layer
from django.conf import settings
from django.db import Error

from streaming import log, outages, publisher
from streaming.db import in_thread
from streaming.engines.base import Engine, EngineError
from streaming.engines.registry import engine_class
from streaming.jobs import lifecycle, queue
from streaming.models import Job, Status
from streaming.worker import liveness, preemption
from streaming.worker.attempt import Attempt

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0  # between two polls without a message
PREEMPTION_POLL_SECONDS = 5.0  # between two checks whether to preempt a job
DEAD_POLL_SECONDS = 5.0  # between two searches for dead workers on this machine


class Runner:
    """Claims jobs and runs at most `max_jobs` at once. Cancel `run()` to stop it."""

    def __init__(self, max_jobs: int | None = None) -> None:
        self._max_jobs = max_jobs or settings.TRANSCRIBE_MAX_JOBS
        self._worker = liveness.Worker()
        self._engines: dict[str, Engine] = {}
        self._attempts: dict[UUID, Attempt] = {}
        self._tasks: dict[asyncio.Task[None], Attempt] = {}
        self._claimed_late: list[Job] = []  # claimed while the runner was being stopped
        self._outbox = publisher.Outbox()
        self._is_notified = asyncio.Event()
        self._dead_polled_at = -DEAD_POLL_SECONDS
        self._preemption_polled_at = -PREEMPTION_POLL_SECONDS

    async def run(self) -> None:
        """Run jobs until cancelled; then stop the running jobs and return them to the queue."""
        with self._worker:
            logger.info("Worker started, for %d jobs at once", self._max_jobs)
            helpers = [asyncio.create_task(self._receive()), asyncio.create_task(self._outbox.run())]
            try:
                await self._warm_up()
                while True:
                    self._is_notified.clear()
                    try:
                        await self.poll()
                    except (Error, OSError):
                        # The database may be restarting, or the process may have too many open files. Jobs stay queued.
                        logger.exception("Could not poll for work; trying again")
                    try:
                        async with asyncio.timeout(POLL_SECONDS):
                            await self._is_notified.wait()
                    except TimeoutError:
                        pass  # poll anyway: a message may have been lost
            finally:
                await self._stop()
                for helper in helpers:
                    helper.cancel()
                await asyncio.gather(*helpers, return_exceptions=True)
                logger.info("Worker stopped")

    async def poll(self) -> None:
        """Run one cycle: requeue the jobs of dead workers, then claim a job for each free slot."""
        if time.monotonic() - self._dead_polled_at >= DEAD_POLL_SECONDS:
            self._dead_polled_at = time.monotonic()
            if dead := await asyncio.to_thread(self._worker.check_workers):
                freed = await in_thread(lifecycle.requeue_jobs_of)(dead)
                await asyncio.to_thread(liveness.remove_folders, dead)
                logger.info("Requeued %d jobs of %d dead workers on this machine", freed, len(dead))
            if outages.CHANNEL_LAYER.is_away:  # an idle worker sends no message that would detect the end of the outage
                await publisher.is_answering()  # records the end of the outage
        if not any(lifecycle.runs_alone(attempt.job) for attempt in self._tasks.values()):
            claims = queue.claims(self._worker.name, is_idle=not self._tasks)
            while len(self._tasks) < self._max_jobs and (job := await self._claim(claims)):
                await self._begin(job)
        await self._check_preemption()

    async def _check_preemption(self) -> None:
        """Choose a job to preempt if one person's jobs hold all slots and another person's job waits."""
        is_due = time.monotonic() - self._preemption_polled_at >= PREEMPTION_POLL_SECONDS
        running = sorted(self._tasks.values(), key=lambda attempt: attempt.began_at)
        owner = preemption.sole_owner([attempt.job for attempt in running])
        if not is_due or len(running) < self._max_jobs or owner is None:
            return
        self._preemption_polled_at = time.monotonic()
        longest = next((attempt for attempt in running if attempt.is_preemptible), None)
        if longest is None or any(attempt.is_to_be_preempted for attempt in running):
            return
        longest.is_to_be_preempted = await in_thread(preemption.is_due)(owner)

    async def _claim(self, claims: Iterator[Job]) -> Job | None:
        claiming = asyncio.ensure_future(in_thread(next)(claims, None))
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            # Cancellation does not stop the thread. Wait for it, or a job that it claims would wait until its lease
            # expires.
            await asyncio.wait([claiming])
            if claiming.exception() is None and (job := claiming.result()) is not None:
                self._claimed_late.append(job)
            raise

    async def _warm_up(self) -> None:
        name = settings.TRANSCRIBE_DEFAULT_ENGINE
        try:
            engine = engine_class(name)()
        except ImportError:
            logger.exception("Could not load the engine %s; its jobs will fail", name)
            return
        self._engines[name] = engine
        await engine.warm_up()

    async def _begin(self, job: Job) -> None:
        if job.lost_count >= lifecycle.MOST_LOSSES:
            with log.job_context(job.pk, job.attempt), suppress(lifecycle.LostClaim):  # cancelled meanwhile
                logger.error("The job failed: %d workers in a row died or lost the lease", job.lost_count)
                await in_thread(lifecycle.finish)(job.pk, job.attempt, Status.FAILED, lifecycle.LOST)
            return
        try:
            engine = self._engines.get(job.engine) or engine_class(job.engine)()
        except (EngineError, ImportError) as error:
            # The engine was removed from the configuration, or uninstalled, after the job was started.
            with log.job_context(job.pk, job.attempt):
                logger.exception("Could not load the engine %s", job.engine)
            with suppress(lifecycle.LostClaim):  # cancelled meanwhile
                await in_thread(lifecycle.finish)(job.pk, job.attempt, Status.FAILED, str(error))
            return
        self._engines[job.engine] = engine
        attempt = Attempt(job, engine, self._worker.folder, self._outbox.put)
        with log.job_context(job.pk, job.attempt):
            logger.info("Attempt started, engine %s", job.engine)
        task = asyncio.create_task(attempt.run(), name=f"job {job.pk}")
        self._tasks[task] = attempt
        self._attempts[job.pk] = attempt
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        attempt = self._tasks.pop(task)
        if self._attempts.get(attempt.job.pk) is attempt:  # else a retry of the same job already runs here
            del self._attempts[attempt.job.pk]
        if not task.cancelled() and (error := task.exception()):
            # The end of the job could not be stored. Its lease expires, and another attempt resumes it.
            with log.job_context(attempt.job.pk, attempt.job.attempt):
                logger.error("Attempt ended with an unhandled error", exc_info=error)
        self._is_notified.set()

    async def _stop(self) -> None:
        running = dict(self._tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        news = []
        for job in [*(attempt.job for attempt in running.values()), *self._claimed_late]:
            try:
                news += await in_thread(lifecycle.hand_back)(job.pk, job.attempt)
            except Error:
                with log.job_context(job.pk, job.attempt):
                    logger.exception("Could not hand the job back; its lease will expire")
        # Send all messages at once: during an outage each takes up to two seconds, and the process has eight in all.
        await asyncio.gather(*(publisher.send(group, message) for group, message in news))
        for engine in self._engines.values():
            await engine.aclose()

    async def _receive(self) -> None:
        """Handle the messages of the channel layer, until cancelled. Subscribes again after an outage."""
        while True:
            layer = get_channel_layer()
            try:
                channel = await layer.new_channel()
                await layer.group_add(publisher.RUNNERS, channel)
                while True:
                    self._handle(await layer.receive(channel))
            except Exception:  # of any class, from the layer's client: meanwhile polling finds the work
                logger.exception("The channel layer did not answer; trying again")
                await asyncio.sleep(POLL_SECONDS)

    def _handle(self, message: dict[str, Any]) -> None:
        """Handle a message of `publisher.worker_message` or `publisher.watched_message`."""
        if message["type"] == "runner.watched":
            for job in message["jobs"]:
                if running := self._attempts.get(UUID(job)):
                    running.note_viewers()
            return
        about, attempt = message["about"], self._attempts.get(UUID(message["job"]))
        if about == "work":
            self._is_notified.set()
        elif attempt is not None and about == "stop":
            attempt.check_lease()
        elif attempt is not None and about == "join":
            attempt.note_viewers()
            attempt.republish()
