"""Publish messages over the channel layer: events of jobs to the feeds, notifications to the workers.

Any message may be lost: finals and statuses are stored before they are sent, feeds detect gaps, and workers poll. So no
function here raises an error of the channel layer, or blocks its caller for longer than `LAYER_SECONDS` per message.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction

from streaming import events, metrics, outages
from streaming.models import Job
from uploads import db_connections

# During a rolling upgrade, old and new processes exchange these messages: groups, `type`s and fields must not change.
RUNNERS = "runners"  # the group of all workers
WATCHERS = "watchers"  # the group of all processes with viewers
# To the watchers: a session ended or a password changed, so check the access of all viewers now.
RECHECK_ACCESS = {"type": "feed.doubt"}
OUTBOX_CAPACITY = 10_000  # messages; during an outage the oldest are dropped, and feeds read the database instead
LAYER_SECONDS = 2.0  # an unavailable channel layer must not delay a request, a job or a viewer for longer


def feed_group(job_id: UUID) -> str:
    """Return the group of the feeds of a job."""
    return f"job.{job_id.hex}"


def envelope(job_id: UUID, attempt: int, seq: int, event: events.Event) -> dict[str, Any]:
    """Return the message that carries an event to the feeds.

    `seq` is the number of finals that the sender has stored; a feed with fewer finals has lost a message. `attempt` is
    the fencing token: feeds ignore messages of a worker that has lost the job, because their attempt is older.
    """
    return {
        "type": "feed.event",
        "job": job_id.hex,
        "attempt": attempt,
        "seq": seq,
        "kind": event["type"],
        "slot": event.get("slot", ""),
        "text": events.encode(event),
    }


async def send(group: str, message: dict[str, Any]) -> bool:
    """Send a message to a group. Returns whether that succeeded. Never raises an error of the layer."""
    return await succeeds(get_channel_layer().group_send(group, message))


async def succeeds(call: Awaitable[None]) -> bool:
    """Await a call of the channel layer, for `LAYER_SECONDS` at most. Returns whether it succeeded.

    Never raises an error of the layer: it records the outage and counts the failure.
    """
    try:
        async with asyncio.timeout(LAYER_SECONDS):
            await call
    except Exception as error:  # of any class, from the layer's client: a lost message must not fail its job
        outages.CHANNEL_LAYER.failed(error)
        metrics.FAILURES.labels("channel_layer").inc()
        return False
    outages.CHANNEL_LAYER.worked()
    return True


async def is_answering() -> bool:
    """Return whether the channel layer accepts messages now. Sends one to a group without members."""
    return await send("readiness", {"type": "nobody.listens"})


def worker_message(about: str, job_id: UUID) -> dict[str, Any]:
    """Return the message that notifies the workers about a job.

    `about` is `work` (a job can be claimed), `stop` (check whether you still hold the job) or `join` (a new
    feed needs the partials).
    """
    return {"type": "runner.ring", "about": about, "job": job_id.hex}


def watched_message(job_ids: list[UUID]) -> dict[str, Any]:
    """Return the message to the workers that lists the jobs with viewers in this process."""
    return {"type": "runner.watched", "jobs": [job_id.hex for job_id in job_ids]}


def send_after_commit(group: str, message: dict[str, Any]) -> None:
    """Send a message from synchronous code after the current transaction commits; at once without a transaction."""

    def send_now() -> None:
        db_connections.release()  # do not hold a pooled connection while the layer times out
        async_to_sync(send)(group, message)

    transaction.on_commit(send_now)


def changes(job: Job, about: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Return the messages with the status of a job for its viewers and, if given, `about` for the workers.

    Each comes with its group.
    """
    messages = [(feed_group(job.pk), envelope(job.pk, job.attempt, job.segment_count, events.status(job)))]
    if about:
        messages.append((RUNNERS, worker_message(about, job.pk)))
    return messages


def job_changed(job: Job, about: str = "") -> None:
    """Send the `changes` of a job after the commit."""
    for group, message in changes(job, about):
        send_after_commit(group, message)


def notify_workers(about: str, job_id: UUID) -> None:
    """Send `worker_message` to all workers after the commit."""
    send_after_commit(RUNNERS, worker_message(about, job_id))


def recheck_access() -> None:
    """After the commit, notify all processes: they check viewer permissions at once, not at the next periodic check."""
    send_after_commit(WATCHERS, RECHECK_ACCESS)


class Outbox:
    """The queue of a worker's messages, which one task sends in order. The worker never waits for the channel layer."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue(OUTBOX_CAPACITY)

    def put(self, group: str, message: dict[str, Any]) -> None:
        """Queue a message. Drops the oldest one if the queue is full. Returns at once."""
        if self._messages.full():
            self._messages.get_nowait()
        self._messages.put_nowait((group, message))

    async def run(self) -> None:
        """Send the queued messages until cancelled."""
        while True:
            group, message = await self._messages.get()
            await send(group, message)
