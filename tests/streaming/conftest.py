"""Fixtures of the tests of jobs and viewers: recordings of numbers, a running worker, and viewers."""

import asyncio
import json
import os
import runpy
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from channels.layers import channel_layers, get_channel_layer
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.contrib.auth.models import User
from django.core.files import File
from django.db import connection
from django.test import Client
from pytest_django import Settings

from streaming.db import in_thread
from streaming.models import Job
from streaming.worker import liveness
from streaming.worker.runner import Runner
from tests.recordings import numbers
from tests.site import Site
from tests.streaming.factories import make_job, make_segments, make_upload
from tests.streaming.gated_engine import AllowWords, hold
from transcribe_site.asgi import application
from uploads import recordings
from uploads.models import Upload

SETTINGS = Path(__file__).parents[2] / "transcribe_site" / "settings.py"
PATIENCE_SECONDS = 60.0  # for events that are due at once, on a busy machine


def words(count: int, first: int = 0) -> list[str]:
    """Return the words that the scripted engine yields for a recording of `numbers`."""
    return [f"w{number}" for number in range(first, first + count)]


def transcript_of(job: Job) -> list[str]:
    """Return the words of a job's transcript as the database has it, in order of time."""
    return " ".join(job.segments.values_list("text", flat=True)).split()


@pytest.fixture
def upload_of() -> Callable[..., Upload]:
    def upload_of(owner: User, path: Path, name: str = "") -> Upload:
        with open(path, "rb") as file:
            return recordings.store(owner, File(file), name or path.name)

    return upload_of


@pytest.fixture
def spoken(upload_of: Callable[..., Upload], alice: User, tmp_path: Path) -> Callable[..., Upload]:
    """Makes recordings of Alice's with a given count of spoken numbers."""

    def spoken(count: int, **options: Any) -> Upload:
        return upload_of(alice, numbers(tmp_path / f"{count}.wav", count, **options))

    return spoken


@pytest.fixture(autouse=True)
def fresh_channel_layer() -> None:
    """Discard the in-memory layer, which keeps groups and queues of closed event loops."""
    channel_layers.backends.clear()


@pytest.fixture
def allow_words(monkeypatch: pytest.MonkeyPatch) -> AllowWords:
    """Gates the scripted engine in this process; see `gated_engine.py`."""
    return hold(monkeypatch)


Running = Callable[..., AbstractAsyncContextManager[Runner]]


@pytest.fixture
def running(transactional_db: None) -> Running:
    @asynccontextmanager
    async def running(max_jobs: int = 2) -> AsyncIterator[Runner]:
        runner = Runner(max_jobs)
        task = asyncio.create_task(runner.run())
        try:
            yield runner
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    return running


class Viewer:
    """A viewer with the state of its page, updated as docs/protocol.md prescribes."""

    def __init__(self, communicator: WebsocketCommunicator) -> None:
        self.communicator = communicator
        self.forget()

    def forget(self) -> None:
        """Start again with an empty page."""
        self.job: dict[str, Any] = {}
        self.finals: dict[int, dict[str, Any]] = {}
        self.partials: dict[str, dict[str, Any]] = {}
        self.errors: list[dict[str, Any]] = []
        self.seq = 0
        self.events: list[dict[str, Any]] = []

    async def send(self, **message: Any) -> None:
        await self.communicator.send_json_to(message)

    async def next(self) -> dict[str, Any]:
        """Apply the next event to the page, and return it."""
        event = await self.communicator.receive_json_from(timeout=PATIENCE_SECONDS)
        self.events.append(event)
        match event["type"]:
            case "snapshot":
                self._state(event["job"])
                self.partials = {partial["slot"]: partial for partial in event["partials"]}
                for segment in event["segments"]:
                    self._final(segment["seq"], segment)
                self.seq = event["seq"]
            case "partial":
                self.partials[event["slot"]] = event
            case "final":
                assert event["seq"] == self.seq + 1, "a final is missing or came twice"
                self.seq = event["seq"]
                self.partials.pop(event["slot"], None)
                self._final(event["seq"], event["segment"])
            case "status":
                self._state(event["job"])
            case "error":
                self.errors.append(event)
        return event

    def _final(self, seq: int, segment: dict[str, Any]) -> None:
        assert self.finals.get(seq, segment) == segment
        self.finals[seq] = segment

    def _state(self, job: dict[str, Any]) -> None:
        # A job that does not run, or runs in a new attempt, has no partials.
        if job["status"] != "running" or job["started_at"] != self.job.get("started_at"):
            self.partials = {}
        self.job = job

    async def until(self, is_so: Callable[["Viewer"], object]) -> "Viewer":
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not is_so(self):
                await self.next()
        return self

    async def until_status(self, status: str) -> "Viewer":
        return await self.until(lambda viewer: viewer.job.get("status") == status)

    @property
    def words(self) -> list[str]:
        in_order = sorted(self.finals.values(), key=lambda segment: (segment["start_time"], segment["seq"]))
        return " ".join(segment["text"] for segment in in_order).split()


Watching = Callable[..., AbstractAsyncContextManager[Viewer]]


def cookie_of(user: User) -> bytes:
    client = Client()
    client.force_login(user)
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}".encode()


@pytest.fixture
def watching(transactional_db: None) -> Watching:
    """Opens sockets as the user given: `async with watching(alice, job) as viewer`."""

    @asynccontextmanager
    async def watching(
        user: User | None, job: Job | None = None, path: str = "", **headers: str
    ) -> AsyncIterator[Viewer]:
        headers = {"host": "testserver"} | headers
        sent = [(name.lower().replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        if user is not None:
            sent.append((b"cookie", await in_thread(cookie_of)(user)))
        path = path or (f"/ws/jobs/{job.pk}/" if job else "/ws/stream/")
        communicator = WebsocketCommunicator(application, path, headers=sent)
        connected, _ = await communicator.connect(timeout=PATIENCE_SECONDS)
        assert connected
        try:
            yield Viewer(communicator)
        finally:
            if not communicator.future.cancelled():  # else the test cancelled it, as a server may
                await communicator.disconnect(timeout=PATIENCE_SECONDS)

    return watching


@pytest.fixture
async def over_redis(redis_url: str, settings: Settings) -> AsyncIterator[str]:
    """Use Redis as the channel layer. Yields its address."""
    settings.CHANNEL_LAYERS = layer_on(redis_url)
    channel_layers.backends.clear()
    yield redis_url
    await get_channel_layer().flush()
    channel_layers.backends.clear()


def layer_on(redis_url: str) -> dict[str, Any]:
    """Return the CHANNEL_LAYERS that the site's settings derive from REDIS_URL."""
    with patch.dict(os.environ, {"REDIS_URL": redis_url}):
        layers: dict[str, Any] = runpy.run_path(str(SETTINGS))["CHANNEL_LAYERS"]
    return layers


Other = Callable[..., Site]
LONG_LEASE_SECONDS = 600  # no test waits for it: dead workers are detected by their locks


@pytest.fixture
def other(transactional_db: None) -> Iterator[Callable[..., Site]]:
    """Makes workers as separate processes, with the database and data folder of the test. Does not start them."""
    made: list[Site] = []

    def other(**environment: str) -> Site:
        database = connection.settings_dict
        url = f"sqlite:///{database['NAME']}"
        if settings.IS_ON_POSTGRES:
            url = f"postgres://postgres@127.0.0.1:{database['PORT']}/{database['NAME']}"
        given = {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.served"}
        given["TRANSCRIBE_LEASE_SECONDS"] = str(LONG_LEASE_SECONDS)
        made.append(Site(Path(settings.DATA_DIR), given | environment))
        return made[-1]

    yield other
    for worker in made:
        if worker.process is not None and worker.process.poll() is None:
            worker.process.send_signal(signal.SIGCONT)
            worker.kill()
        (worker.folder / "log").unlink(missing_ok=True)
    liveness.remove_folders(liveness.dead_workers())  # or the next test would find them


async def dies_at(step: str, worker: Site) -> None:
    """Start a worker that is killed at a step of `crash_worker.py`, and wait for its end."""
    worker.process = worker._spawn("-m", "tests.faults.crash_worker", step)
    code = await asyncio.to_thread(worker.process.wait, PATIENCE_SECONDS)
    assert code == -signal.SIGKILL, worker.log()[-2000:]
    worker._close()


async def freezes_at(step: str, worker: Site) -> None:
    """Start a worker that stops itself with SIGSTOP at a step of `crash_worker.py`, and wait for that."""
    worker.process = worker._spawn("-m", "tests.faults.crash_worker", step)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not is_stopped(worker.process.pid):
            assert worker.process.poll() is None, worker.log()[-2000:]
            await asyncio.sleep(0.02)


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


async def some_job(owner: User, texts: list[str], **fields: Any) -> Job:
    def make() -> Job:
        job = make_job(make_upload(owner), **fields)
        make_segments(job, texts)
        return job

    return await in_thread(make)()


async def closed_with(viewer: Viewer) -> int:
    """Wait until the socket is closed and return the code. Appends earlier events to the viewer's events."""
    while (message := await viewer.communicator.receive_output(timeout=PATIENCE_SECONDS))["type"] != "websocket.close":
        viewer.events.append(json.loads(message["text"]))
    code: int = message["code"]
    return code


@pytest.fixture
def with_aws(settings: Settings) -> None:
    """Configure the site for Amazon Transcribe."""
    settings.TRANSCRIBE_ENGINES = ["local", "scripted", "aws"]
    settings.AWS_REGION = "eu-west-1"
