"""Every message over an open socket is checked again; sockets of foreign origins are refused; nothing leaks."""

import asyncio
import gc
import random
from typing import Any

import pytest
from channels.layers import get_channel_layer
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session

from streaming import metrics
from streaming.db import in_thread
from streaming.live import hub as hub_module
from streaming.live import limits
from streaming.models import Job, Status
from tests.streaming.conftest import PATIENCE_SECONDS, Watching, cookie_of
from tests.streaming.factories import make_upload
from tests.streaming.live.test_consumers import closed_with, some_job
from transcribe_site.asgi import application

WAITING = {"texts": ["one"], "status": Status.QUEUED}


@pytest.fixture(autouse=True)
def no_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disable the periodic polls, so that only the check of each message can refuse it, also in a slow test."""
    for name in ("POLL_SECONDS", "RECHECK_SECONDS"):
        monkeypatch.setattr(hub_module, name, 600.0)


# Actions


async def test_signed_out_viewer_cannot_cancel_over_an_open_socket(watching: Watching, alice: User) -> None:
    job = await some_job(alice, **WAITING)
    async with watching(alice, job) as viewer:
        await viewer.next()
        await Session.objects.all().adelete()
        await viewer.send(type="cancel")
        assert await closed_with(viewer) == 4401
    assert (await Job.objects.aget()).status == Status.QUEUED


async def test_blocked_viewer_cannot_cancel_over_an_open_socket(watching: Watching, alice: User) -> None:
    job = await some_job(alice, **WAITING)
    async with watching(alice, job) as viewer:
        await viewer.next()
        await User.objects.filter(pk=alice.pk).aupdate(is_active=False)
        await viewer.send(type="cancel")
        assert await closed_with(viewer) == 4401
    assert (await Job.objects.aget()).status == Status.QUEUED


async def test_message_over_an_open_socket_is_refused_after_a_password_change(watching: Watching, alice: User) -> None:
    job = await some_job(alice, **WAITING)
    async with watching(alice, job) as viewer:
        await viewer.next()
        alice.set_password("another")
        await alice.asave()
        await viewer.send(type="sync", after=0)
        assert await closed_with(viewer) == 4401


@pytest.mark.parametrize("message", ["sync", "cancel", "retry"])
async def test_viewer_without_the_view_permission_gets_not_found_for_every_message(
    watching: Watching, alice: User, bob: User, message: str
) -> None:
    job = await some_job(alice, **WAITING)
    async with watching(bob, job) as viewer:
        await viewer.next()
        seen = await Permission.objects.aget(codename="view_job")
        await bob.user_permissions.aremove(seen)
        await viewer.send(type=message)
        error = await viewer.next()
        assert (error["type"], error["code"]) == ("error", "not_found")
    assert (await Job.objects.aget()).status == Status.QUEUED


# Starting a job shows its transcript, so staff need both permissions.
@pytest.mark.parametrize("permission", ["add_job", "view_job"])
async def test_viewer_without_the_start_permission_cannot_start_a_job(
    watching: Watching, alice: User, bob: User, permission: str
) -> None:
    upload = await in_thread(make_upload)(alice)
    async with watching(bob) as viewer:
        await bob.user_permissions.aremove(await Permission.objects.aget(codename=permission))
        await viewer.send(type="start", upload=str(upload.pk))
        assert (await viewer.next())["code"] == "forbidden"
    assert not await Job.objects.aexists()


# Origins


async def test_rejects_an_origin_that_equals_a_foreign_host_header(watching: Watching, alice: User) -> None:
    """DNS rebinding: a name of the attacker resolves to this site, so Origin and Host are equal."""
    job = await some_job(alice, **WAITING)
    async with watching(alice, job, host="rebound.example", origin="http://rebound.example") as viewer:
        assert await closed_with(viewer) == 1008


@pytest.mark.parametrize("origin", ["http://words.example", "https://words.example:81", "https://a.words.example"])
async def test_rejects_an_origin_that_only_resembles_a_trusted_one(
    watching: Watching, alice: User, settings: Any, origin: str
) -> None:
    settings.CSRF_TRUSTED_ORIGINS = ["https://words.example"]
    job = await some_job(alice, **WAITING)
    async with watching(alice, job, origin=origin) as viewer:
        assert await closed_with(viewer) == 1008


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://testserver", "x_forwarded_proto": "https"},
        {"origin": "http://evil.example", "x_forwarded_host": "evil.example"},
        {"origin": "http://evil.example", "forwarded": "host=evil.example;proto=http"},
    ],
)
async def test_rejects_a_foreign_origin_despite_forwarded_headers(
    watching: Watching, alice: User, headers: dict[str, str]
) -> None:
    job = await some_job(alice, **WAITING)
    async with watching(alice, job, **headers) as viewer:
        assert await closed_with(viewer) == 1008


# Connects and disconnects


async def test_sync_message_while_joining_gets_the_requested_finals(watching: Watching, alice: User) -> None:
    job = await some_job(alice, ["one", "two", "three"])
    async with watching(alice, path=f"/ws/jobs/{job.pk}/?after=2") as viewer:
        await viewer.send(type="sync", after=0)
        await viewer.until(lambda viewer: len(viewer.finals) == 3)


async def test_a_thousand_connects_and_disconnects_leak_no_subscriber_task_or_feed(
    transactional_db: None, alice: User
) -> None:
    jobs = [await some_job(alice, **WAITING) for _ in range(3)]
    cookie = await in_thread(cookie_of)(alice)
    chance = random.Random(5)
    watching = metrics.VIEWERS._value.get()
    others = asyncio.all_tasks()

    async def come_and_leave() -> None:
        path = f"/ws/jobs/{chance.choice(jobs).pk}/"
        headers = [(b"host", b"testserver"), (b"cookie", cookie)]
        communicator = WebsocketCommunicator(application, path, headers=headers)
        await communicator.connect(timeout=PATIENCE_SECONDS)
        for _ in range(chance.randrange(40)):
            await asyncio.sleep(0)
        await communicator.disconnect(timeout=PATIENCE_SECONDS)

    for _ in range(50):
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.gather(*(come_and_leave() for _ in range(20)))
    hub = hub_module.get_hub()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while asyncio.all_tasks() - others:  # cancelled tasks still have to end
            await asyncio.sleep(0.01)
    gc.collect()
    assert (hub._feeds, dict(hub._locks), hub._short_tasks) == ({}, {}, set())
    assert get_channel_layer().groups == {}
    assert (metrics.VIEWERS._value.get(), limits._sockets) == (watching, {})
