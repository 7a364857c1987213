"""The sockets of a running job: viewers see its results as they arrive, and can cancel it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

import pytest
from django.contrib.auth.models import User

from streaming.db import in_thread
from streaming.engines.base import Request
from streaming.engines.scripted import ScriptedEngine
from streaming.live import hub
from streaming.live.consumers import ViewerConsumer
from streaming.results import Result
from streaming.spool import Spool
from streaming.worker import attempt
from tests.streaming.conftest import PATIENCE_SECONDS, Running, Watching, transcript_of, words
from tests.streaming.gated_engine import ALL, AllowWords
from tests.streaming.worker.test_runner import Spoken, start


async def test_two_viewers_of_a_running_job_see_the_same_as_the_database(
    running: Running, watching: Watching, spoken: Spoken, alice: User, bob: User, allow_words: AllowWords
) -> None:
    job = await start(await in_thread(spoken)(40))
    async with watching(alice, job) as early, running():
        allow_words(14)
        await early.until(lambda viewer: viewer.seq == 3 and viewer.partials)
        async with watching(bob, job) as late:
            await late.next()
            allow_words(1)
            await late.until(lambda viewer: viewer.events[-1].get("text") == "w12 w13 w14")
            allow_words(ALL)
            await asyncio.gather(early.until_status("completed"), late.until_status("completed"))
            stored = await in_thread(transcript_of)(job)
            assert early.words == late.words == stored == words(40)
            assert early.finals == late.finals
            assert early.partials == late.partials == {}


async def test_late_viewer_gets_the_current_partial(
    running: Running, watching: Watching, spoken: Spoken, alice: User, allow_words: AllowWords
) -> None:
    """The engine yields two words and then pauses, so it does not send the partial again by itself."""
    job = await start(await in_thread(spoken)(3))
    allow_words(2)
    async with running(), watching(alice, job) as early:
        await early.until(lambda viewer: [partial["text"] for partial in viewer.partials.values()] == ["w0 w1"])
        # The last viewer leaves, which deletes the feed of this process and its partials.
        await early.communicator.disconnect(timeout=PATIENCE_SECONDS)
        async with watching(alice, job) as late:
            await late.until(lambda viewer: viewer.partials)
            assert late.partials == early.partials


async def test_viewer_cancels_and_retries_a_job_over_the_socket(
    running: Running,
    watching: Watching,
    spoken: Spoken,
    alice: User,
    allow_words: AllowWords,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hub, "POLL_SECONDS", 3600.0)  # so that only a message can bring the change
    job = await start(await in_thread(spoken)(30))
    allow_words(4)
    async with running(), watching(alice, job) as viewer:
        await viewer.until(lambda viewer: viewer.seq == 1)
        await viewer.send(type="cancel")
        await viewer.until_status("cancelled")
        await viewer.send(type="cancel")
        await viewer.until(lambda viewer: viewer.errors)
        assert viewer.errors[-1]["code"] == "conflict"
        await viewer.send(type="retry")
        allow_words(ALL)
        await viewer.until_status("completed")
        assert viewer.words == words(30)


async def test_socket_cancelled_during_a_message_leaves_its_feed(
    watching: Watching, spoken: Spoken, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server cancels the consumer of a viewer that has left while its message waits for the database."""
    job = await start(await in_thread(spoken)(3))
    asked = asyncio.Event()

    async def user(self: ViewerConsumer) -> User | None:
        asked.set()
        await asyncio.Event().wait()
        return None

    monkeypatch.setattr(ViewerConsumer, "user", user)
    async with watching(alice, job) as viewer:
        await viewer.until(lambda viewer: viewer.events)
        await viewer.send(type="sync")
        await asked.wait()
        viewer.communicator.future.cancel()
        with suppress(asyncio.CancelledError):
            await viewer.communicator.wait(timeout=PATIENCE_SECONDS)
        assert hub.get_hub()._feeds == {}


async def test_engine_learns_whether_its_job_has_viewers(
    running: Running,
    watching: Watching,
    spoken: Spoken,
    alice: User,
    allow_words: AllowWords,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hub, "POLL_SECONDS", 0.05)
    requests: list[Request] = []
    transcribe = ScriptedEngine.transcribe

    def noting(self: ScriptedEngine, audio: Spool, request: Request) -> AsyncGenerator[Result, None]:
        requests.append(request)
        return transcribe(self, audio, request)

    monkeypatch.setattr(ScriptedEngine, "transcribe", noting)
    job = await start(await in_thread(spoken)(30))
    async with running() as runner:
        async with watching(alice, job) as viewer:
            allow_words(1)
            await viewer.until(lambda viewer: viewer.partials)
            running_here = runner._attempts[job.pk]
            async with asyncio.timeout(PATIENCE_SECONDS):
                for _ in range(3):  # the viewer's process reports it repeatedly
                    running_here._watched_at = -attempt.WATCHED_SECONDS
                    while not requests[0].is_watched():
                        await asyncio.sleep(0.01)
        monkeypatch.setattr(attempt, "WATCHED_SECONDS", 0.2)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while requests[0].is_watched():
                await asyncio.sleep(0.01)
        allow_words(ALL)
