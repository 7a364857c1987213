"""Viewers that lose access are evicted within seconds, and at once after a sign-out or a password change."""

import asyncio
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client

from streaming.db import in_thread
from streaming.live import hub, library_hub
from tests.streaming.conftest import PATIENCE_SECONDS, Watching, closed_with, cookie_of, some_job

NEW_PASSWORD = {"old_password": "builder", "new_password1": "jabberwock-7", "new_password2": "jabberwock-7"}


def is_of(session: Session, user: User) -> bool:
    return bool(session.get_decoded().get(SESSION_KEY) == str(user.pk))


async def test_socket_closes_after_its_session_ends(
    watching: Watching, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "RECHECK_SECONDS", 0.05)
    job = await some_job(alice, ["one"])
    async with watching(alice, job) as viewer:
        await viewer.next()
        await Session.objects.all().adelete()
        assert await closed_with(viewer) == 4401


@pytest.mark.parametrize("path", ["/ws/jobs/{job.pk}/", "/ws/library/?ids={job.upload_id}"])
@pytest.mark.parametrize(
    ("address", "form"),
    [
        ("/accounts/logout/", {}),
        ("/admin/logout/", {}),
        ("/accounts/password/", NEW_PASSWORD),
        ("/admin/password_change/", NEW_PASSWORD | {"usable_password": "true"}),
    ],
)
async def test_sign_out_and_password_change_close_sockets_at_once(
    watching: Watching,
    alice: User,
    bob: User,
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    form: dict[str, str],
    path: str,
) -> None:
    for module in (hub, library_hub):
        monkeypatch.setattr(module, "RECHECK_SECONDS", 600.0)
    job = await some_job(alice, ["one"])
    path = path.format(job=job)

    def act(session_key: str) -> int:
        client = Client()
        client.cookies[settings.SESSION_COOKIE_NAME] = session_key
        return client.post(address, form).status_code

    async with (
        watching(alice, path=path) as stays,
        watching(bob, path=path) as at_home,
        watching(bob, path=path) as at_work,
    ):
        for viewer in (stays, at_home, at_work):
            await viewer.communicator.receive_json_from(timeout=PATIENCE_SECONDS)
        of_bob = [session async for session in Session.objects.order_by("pk") if is_of(session, bob)]
        assert await in_thread(act)(of_bob[0].session_key) == 302
        if form:  # a password change creates a new session, so it ends both old ones
            assert await closed_with(at_home) == await closed_with(at_work) == 4401
        else:
            closed = [asyncio.create_task(closed_with(viewer)) for viewer in (at_home, at_work)]
            done, stay = await asyncio.wait(closed, timeout=PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            assert [task.result() for task in done] == [4401]
            for task in stay:
                task.cancel()
        assert await stays.communicator.receive_nothing()


async def test_socket_closes_after_the_viewer_loses_the_permission(
    watching: Watching, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "RECHECK_SECONDS", 0.05)
    job = await some_job(alice, ["one"])
    async with watching(bob, job) as viewer:
        await viewer.next()
        await User.objects.filter(pk=bob.pk).aupdate(is_staff=False)
        assert await closed_with(viewer) == 4404


async def test_sign_out_clears_the_cached_access_check(
    watching: Watching, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "RECHECK_SECONDS", 600.0)
    job = await some_job(alice, ["one"])
    cookie = (await in_thread(cookie_of)(alice)).decode()

    def sign_out() -> None:
        client = Client()
        client.cookies[settings.SESSION_COOKIE_NAME] = cookie.partition("=")[2]
        assert client.post("/accounts/logout/").status_code == 302

    async with watching(bob, job), watching(None, job, cookie=cookie) as first:
        await first.next()
        async with watching(None, job, cookie=cookie) as second:
            await second.next()
        await in_thread(sign_out)()
        assert await closed_with(first) == 4401
        async with watching(None, job, cookie=cookie) as again:
            assert await closed_with(again) == 4401
            assert again.events == []


async def test_library_socket_that_opens_during_a_sign_out_closes_at_once(
    watching: Watching, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RECHECK_SECONDS", "FULL_POLL_SECONDS"):
        monkeypatch.setattr(library_hub, name, 600.0)
    cookie = (await in_thread(cookie_of)(alice)).decode()
    visible = library_hub.visible

    def then_sign_out(*given: Any) -> Any:
        """Check the access, then sign the person out before returning the result."""
        monkeypatch.setattr(library_hub, "visible", visible)
        found = visible(*given)
        client = Client()
        client.cookies[settings.SESSION_COOKIE_NAME] = cookie.partition("=")[2]
        assert client.post("/accounts/logout/").status_code == 302
        return found

    monkeypatch.setattr(library_hub, "visible", then_sign_out)
    async with watching(None, path="/ws/library/?ids=", cookie=cookie) as viewer:
        assert await closed_with(viewer) == 4401
