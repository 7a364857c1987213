"""`/ws/library/`: lists of recordings and jobs stay up to date, and show only rows that the viewer may see."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.db import connection
from django.test.utils import CaptureQueriesContext

from streaming.db import in_thread
from streaming.jobs import lifecycle
from streaming.live import library_hub
from streaming.live.library_rows import read
from streaming.models import Job, Status
from tests.streaming.conftest import PATIENCE_SECONDS, Running, Watching, closed_with
from tests.streaming.factories import make_job, make_segments, make_upload
from tests.streaming.gated_engine import ALL, AllowWords
from tests.streaming.worker.test_runner import Spoken
from uploads import recordings
from uploads.models import Upload


class List:
    """A page that shows a list, updated as docs/protocol.md prescribes."""

    def __init__(self, communicator: WebsocketCommunicator) -> None:
        self.communicator = communicator
        self.uploads: dict[str, dict[str, Any]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.words: dict[str, str] = {}
        self.removed: list[str] = []
        self.errors: list[dict[str, Any]] = []

    async def next(self) -> dict[str, Any]:
        event: dict[str, Any] = await self.communicator.receive_json_from(timeout=PATIENCE_SECONDS)
        match event["type"]:
            case "snapshot":
                self.uploads = {upload["id"]: upload for upload in event["uploads"]}
                self.jobs = {job["id"]: job for job in event["jobs"]}
            case "upload":
                self.uploads[event["upload"]["id"]] = event["upload"]
            case "job":
                self.jobs[event["job"]["id"]] = event["job"]
            case "words":
                self.words[event["job"]] = event["text"]
            case "removed":
                self.removed.append(event["id"])
                self.uploads.pop(event["id"], None)
                self.jobs.pop(event["id"], None)
            case "error":
                self.errors.append(event)
        return event

    async def until(self, is_so: Callable[["List"], object]) -> "List":
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not is_so(self):
                await self.next()
        return self


Listing = Callable[..., AbstractAsyncContextManager[List]]


@pytest.fixture
def listing(watching: Watching, monkeypatch: pytest.MonkeyPatch) -> Listing:
    """Opens the socket of a list and reads its snapshot. Polls are frequent, so that the tests are fast."""
    for name in ("POLL_SECONDS", "FULL_POLL_SECONDS", "RECHECK_SECONDS"):
        monkeypatch.setattr(library_hub, name, 0.05)

    @asynccontextmanager
    async def listing(user: User | None, ids: Iterable[UUID]) -> Any:
        path = "/ws/library/?ids=" + ",".join(map(str, ids))
        async with watching(user, path=path) as viewer:
            page = List(viewer.communicator)
            assert (await page.next())["type"] == "snapshot"
            yield page

    return listing


def made(owner: User, count: int = 1, **fields: Any) -> list[Job]:
    return [make_job(make_upload(owner), **fields) for _ in range(count)]


async def test_library_snapshot_has_the_recordings_with_their_jobs(listing: Listing, alice: User) -> None:
    (job,) = await in_thread(made)(alice, status=Status.COMPLETED)
    async with listing(alice, [job.upload_id]) as page:
        upload = await in_thread(lambda: Upload.objects.get(pk=job.upload_id))()
        assert page.uploads == {
            str(upload.pk): {
                "id": str(upload.pk),
                "name": upload.name,
                "size": upload.size,
                "duration": upload.duration,
                "created_at": upload.created_at.isoformat(),
            }
        }
        assert [(job["upload"], job["status"]) for job in page.jobs.values()] == [(str(upload.pk), "completed")]


async def test_library_shows_status_and_words_of_a_running_job(
    listing: Listing, running: Running, spoken: Spoken, alice: User, allow_words: AllowWords
) -> None:
    upload = await in_thread(spoken)(12)
    async with listing(alice, [upload.pk]) as page, running():
        job, _ = await in_thread(lifecycle.start)(upload, engine="scripted")
        key = str(job.pk)
        allow_words(4)
        await page.until(lambda page: page.words.get(key) == "w0 w1 w2 w3")
        assert page.jobs[key]["status"] == "running"
        await page.until(lambda page: 2.0 <= page.jobs[key]["position"] < 6.0)
        allow_words(ALL)
        await page.until(lambda page: page.jobs[key]["status"] == "completed")


async def test_library_shows_the_queue_position_of_a_queued_job(listing: Listing, alice: User) -> None:
    first, second = await in_thread(made)(alice, 2, status=Status.QUEUED)
    async with listing(alice, [first.upload_id, second.upload_id]) as page:
        assert [page.jobs[str(job.pk)]["queue"]["place"] for job in (first, second)] == [1, 2]
        await in_thread(lifecycle.cancel)(first)
        await page.until(lambda page: page.jobs[str(second.pk)]["queue"]["place"] == 1)


async def test_library_shows_renamed_and_removes_deleted_rows(listing: Listing, alice: User) -> None:
    first, second = await in_thread(made)(alice, 2, status=Status.COMPLETED)
    deleted = sorted([str(first.upload_id), str(first.pk)])
    async with listing(alice, [first.upload_id, second.pk]) as page:
        upload = await in_thread(lambda: Upload.objects.get(pk=first.upload_id))()
        await in_thread(recordings.rename)(upload, "Interview")
        await page.until(lambda page: page.uploads[str(upload.pk)]["name"] == "Interview")
        await in_thread(lifecycle.delete)(second)
        await page.until(lambda page: page.removed == [str(second.pk)])
        await in_thread(lifecycle.delete_upload)(upload)
        await page.until(lambda page: len(page.removed) == 3)
        assert sorted(page.removed[1:]) == deleted


async def test_library_hides_rows_of_other_people(listing: Listing, alice: User, charlie: User) -> None:
    (secret,) = await in_thread(made)(alice, status=Status.RUNNING)
    await in_thread(make_segments)(secret, ["a secret"])
    (own,) = await in_thread(made)(charlie, status=Status.QUEUED)
    async with listing(charlie, [secret.upload_id, secret.pk, own.upload_id]) as page:
        assert (list(page.uploads), list(page.jobs)) == ([str(own.upload_id)], [str(own.pk)])
        await in_thread(lambda: Job.objects.filter(pk=secret.pk).update(status=Status.COMPLETED))()
        await in_thread(lambda: Upload.objects.filter(pk=secret.upload_id).update(name="hidden"))()
        await in_thread(lifecycle.cancel)(own)
        await page.until(lambda page: page.jobs[str(own.pk)]["status"] == "cancelled")
        assert (list(page.uploads), list(page.jobs), page.words) == ([str(own.upload_id)], [str(own.pk)], {})


async def test_library_removes_rows_after_the_viewer_loses_the_permission(
    listing: Listing, alice: User, bob: User
) -> None:
    (job,) = await in_thread(made)(alice)
    async with listing(bob, [job.upload_id]) as page:
        assert list(page.jobs) == [str(job.pk)]
        await in_thread(lambda: bob.user_permissions.remove(Permission.objects.get(codename="view_job")))()
        await page.until(lambda page: not page.jobs)
        assert list(page.uploads) == [str(job.upload_id)]


async def test_library_socket_closes_after_its_session_ends(watching: Watching, listing: Listing, alice: User) -> None:
    (job,) = await in_thread(made)(alice)
    async with watching(alice, path=f"/ws/library/?ids={job.upload_id}") as viewer:
        await viewer.communicator.receive_json_from(timeout=PATIENCE_SECONDS)
        await in_thread(Session.objects.all().delete)()
        assert await closed_with(viewer) == 4401


async def test_library_socket_rejects_an_anonymous_viewer(watching: Watching) -> None:
    async with watching(None, path="/ws/library/") as viewer:
        assert await closed_with(viewer) == 4401


@pytest.mark.parametrize("ids", ["", "x", "00000000-0000-4000-8000-000000000000,,not-an-id,%00", "1" * 5000])
async def test_library_ignores_malformed_ids(watching: Watching, alice: User, ids: str) -> None:
    async with watching(alice, path=f"/ws/library/?ids={ids}") as viewer:
        assert await viewer.communicator.receive_json_from(timeout=PATIENCE_SECONDS) == {
            "type": "snapshot",
            "uploads": [],
            "jobs": [],
        }


async def test_sync_message_replaces_the_ids_of_a_list(listing: Listing, alice: User) -> None:
    first, second = await in_thread(made)(alice, 2)
    async with listing(alice, [first.upload_id]) as page:
        await page.communicator.send_json_to({"type": "sync", "ids": str(second.upload_id)})
        await page.until(lambda page: list(page.uploads) == [str(second.upload_id)])


@pytest.mark.parametrize(
    "message", ["no json", "[]", '{"type": "cancel"}', '{"type": "sync"}', '{"type": "sync", "ids": [1]}']
)
async def test_library_answers_a_bad_message_with_an_error(listing: Listing, alice: User, message: str) -> None:
    async with listing(alice, []) as page:
        await page.communicator.send_to(text_data=message)
        await page.until(lambda page: page.errors)
        assert page.errors[0]["code"] == "bad_message"


@pytest.mark.django_db
def test_library_reads_one_row_and_thirty_with_the_same_number_of_queries(alice: User) -> None:
    def queries(count: int) -> int:
        listed = made(alice, count)
        for job in listed:
            make_segments(job, ["one"])
        with CaptureQueriesContext(
            connection,
        ) as captured:
            rows = read({job.upload_id for job in listed})
        assert (len(rows.uploads), len(rows.jobs)) == (count, count)
        return len(captured)

    assert queries(1) == queries(30)


@pytest.mark.django_db
def test_library_shows_only_the_newest_jobs_of_a_recording(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streaming.live.library_rows.MOST_JOBS", 2)
    upload = make_upload(alice)
    ids = [make_job(upload).pk for _ in range(4)]
    assert set(read({upload.pk}).jobs) == set(ids[2:])
