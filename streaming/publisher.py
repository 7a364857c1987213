"""What leaves this process over the channel layer: events of a job to the feeds, and rings to the runners.

Both may be lost: finals and states are in the database before they are sent, feeds notice what is missing, and
runners look for work by themselves. So nothing here fails or holds up its caller for long.
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

RUNNERS = "runners"
WATCHERS = "watchers"  # the feeds of every process
RECHECK_ACCESS = {"type": "feed.doubt"}  # to them: somebody signed out or changed a password, look who may still watch
OUTBOX_CAPACITY = 10_000  # messages: while the channel layer is away the oldest are dropped, feeds fetch what they miss
LAYER_SECONDS = 2.0  # a channel layer that is not there must not hold up a request, a job or a viewer


def feed_group(job_id: UUID) -> str:
    return f"job.{job_id.hex}"


def envelope(job_id: UUID, attempt: int, seq: int, event: events.Event) -> dict[str, Any]:
    """Return the message that carries an event to the feeds.

    `seq` is the number of finals that its sender has stored: a feed that has fewer has lost one. `attempt` is
    the fence: what a worker sends that lost the job is older than what the feed knows.
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
    """Send to a group; return whether it went out. Never raises."""
    return await succeeds(get_channel_layer().group_send(group, message))


async def succeeds(call: Awaitable[None]) -> bool:
    """Await a call of the channel layer, but not for long; return whether it succeeded. Never raises."""
    try:
        async with asyncio.timeout(LAYER_SECONDS):
            await call
    except Exception as error:  # whatever the layer's client raises: the message is not worth a job
        outages.CHANNEL_LAYER.failed(error)
        metrics.FAILURES.labels("channel_layer").inc()
        return False
    outages.CHANNEL_LAYER.worked()
    return True


async def is_answering() -> bool:
    """Return whether the channel layer takes messages now: sends one to a group that nobody is in."""
    return await send("readiness", {"type": "nobody.listens"})


def worker_message(about: str, job_id: UUID) -> dict[str, Any]:
    """Return the message that tells runners something: `work`, `stop` (look whether the job is still yours), `join`."""
    return {"type": "runner.ring", "about": about, "job": job_id.hex}


def watched_message(job_ids: list[UUID]) -> dict[str, Any]:
    """Return the message that tells runners which jobs have viewers in this process."""
    return {"type": "runner.watched", "jobs": [job_id.hex for job_id in job_ids]}


def send_after_commit(group: str, message: dict[str, Any]) -> None:
    """Send from synchronous code, once what it speaks of is in the database."""

    def send_now() -> None:
        db_connections.release()  # a channel layer that is away takes two seconds a message
        async_to_sync(send)(group, message)

    transaction.on_commit(send_now)


def changes(job: Job, about: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Return what tells the viewers of a job its state, and the runners what it means for them, each with its group."""
    messages = [(feed_group(job.pk), envelope(job.pk, job.attempt, job.segment_count, events.status(job)))]
    if about:
        messages.append((RUNNERS, worker_message(about, job.pk)))
    return messages


def job_changed(job: Job, about: str = "") -> None:
    """Tell it to all of them."""
    for group, message in changes(job, about):
        send_after_commit(group, message)


def notify_workers(about: str, job_id: UUID) -> None:
    """Send `worker_message` to all workers after the commit."""
    send_after_commit(RUNNERS, worker_message(about, job_id))


def recheck_access() -> None:
    """Let every process look now, instead of within seconds, who may still watch what they watch."""
    send_after_commit(WATCHERS, RECHECK_ACCESS)


class Outbox:
    def __init__(self) -> None:
        self._messages: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue(OUTBOX_CAPACITY)

    def put(self, group: str, message: dict[str, Any]) -> None:
        """Take a message; returns at once, whatever the channel layer does."""
        if self._messages.full():
            self._messages.get_nowait()
        self._messages.put_nowait((group, message))

    async def run(self) -> None:
        """Send, for ever."""
        while True:
            group, message = await self._messages.get()
            await send(group, message)
