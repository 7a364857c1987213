"""The sockets of jobs: access, snapshots, and the answers to messages of viewers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User

from streaming.db import in_thread
from streaming.jobs import lifecycle
from streaming.models import Job, Status
from tests.streaming.conftest import Running, Watching, closed_with, some_job, words
from tests.streaming.factories import make_upload
from tests.streaming.worker.test_runner import Spoken
from uploads.models import Upload


async def test_viewer_gets_the_whole_job_in_the_first_message(watching: Watching, alice: User) -> None:
    job = await some_job(alice, ["one two", "three"], status=Status.COMPLETED)
    async with watching(alice, job) as viewer:
        snapshot = await viewer.next()
    assert (snapshot["type"], snapshot["seq"], snapshot["partials"]) == ("snapshot", 2, [])
    assert [segment["text"] for segment in snapshot["segments"]] == ["one two", "three"]
    assert snapshot["job"]["id"] == str(job.pk)
    assert sorted(snapshot["job"]) == [
        "can_retry", "created_at", "duration", "engine", "failure_reason", "finished_at", "id", "language_code",
        "position", "segments", "started_at", "status", "took", "upload",
    ]  # fmt: skip


async def test_returning_viewer_gets_only_the_finals_after_its_number(watching: Watching, alice: User) -> None:
    job = await some_job(alice, ["one", "two", "three"])
    async with watching(alice, path=f"/ws/jobs/{job.pk}/?after=2") as viewer:
        snapshot = await viewer.next()
    assert [segment["seq"] for segment in snapshot["segments"]] == [3]
    assert snapshot["seq"] == 3


@pytest.mark.parametrize("after", ["x", "-1", "99999999999999999999", "1e3", ""])
async def test_invalid_after_parameter_sends_all_finals(watching: Watching, alice: User, after: str) -> None:
    job = await some_job(alice, ["one", "two"])
    async with watching(alice, path=f"/ws/jobs/{job.pk}/?after={after}") as viewer:
        assert [segment["seq"] for segment in (await viewer.next())["segments"]] == [1, 2]


async def test_strangers_and_anonymous_viewers_get_no_events(watching: Watching, alice: User, charlie: User) -> None:
    job = await some_job(alice, ["a secret"], status=Status.COMPLETED)
    for user, code in ((charlie, 4404), (None, 4401)):
        async with watching(user, job) as viewer:
            assert await closed_with(viewer) == code
            assert viewer.events == []


async def test_unknown_job_closes_the_socket_with_4404(watching: Watching, alice: User) -> None:
    async with watching(alice, path=f"/ws/jobs/{uuid4()}/") as viewer:
        assert await closed_with(viewer) == 4404
        assert viewer.events == []


@pytest.mark.parametrize("origin", ["http://evil.example", "https://testserver", "http://testserver:81", "null"])
async def test_rejects_a_websocket_from_another_site(watching: Watching, alice: User, origin: str) -> None:
    job = await some_job(alice, ["a secret"])
    async with watching(alice, job, origin=origin) as viewer:
        assert await closed_with(viewer) == 1008


async def test_accepts_a_websocket_from_our_own_origin(watching: Watching, alice: User) -> None:
    job = await some_job(alice, ["mine"])
    async with watching(alice, job, origin="http://testserver") as viewer:
        assert (await viewer.next())["type"] == "snapshot"


async def test_accepts_a_websocket_from_a_trusted_origin(watching: Watching, alice: User, settings: Any) -> None:
    settings.CSRF_TRUSTED_ORIGINS = ["https://words.example"]
    job = await some_job(alice, ["mine"])
    async with watching(alice, job, origin="https://words.example") as viewer:
        assert (await viewer.next())["type"] == "snapshot"


BAD_MESSAGES = [
    "{",
    "hello",
    "[]",
    "1",
    "null",
    '"text"',
    "{}",
    '{"type": 5}',
    '{"type": "dance"}',
    '{"type": ["cancel"]}',
    '{"type": "sync", "after": "1"}',
    '{"type": "sync", "after": true}',
    '{"type": "sync", "after": -1}',
    "[" * 20_000,
    '{"type": "cancel", "x": "' + "x" * 65_536 + '"}',
]


@pytest.mark.parametrize("message", BAD_MESSAGES, ids=lambda message: message[:30])
async def test_bad_message_gets_an_error_and_the_socket_stays_open(
    watching: Watching, alice: User, message: str
) -> None:
    job = await some_job(alice, ["one"], status=Status.COMPLETED)
    async with watching(alice, job) as viewer:
        await viewer.next()
        await viewer.communicator.send_to(text_data=message)
        error = await viewer.next()
        assert (error["type"], error["code"]) == ("error", "bad_message")
        await viewer.communicator.send_to(bytes_data=b"\x00\x01")
        assert (await viewer.next())["code"] == "bad_message"
        await viewer.send(type="sync", after=0)
        assert (await viewer.next())["type"] == "snapshot"


async def test_staff_without_the_change_permission_cannot_cancel(watching: Watching, alice: User, bob: User) -> None:
    await bob.user_permissions.through.objects.filter(permission__codename="change_job").adelete()
    job = await some_job(alice, [], status=Status.QUEUED)
    async with watching(bob, job) as viewer:
        await viewer.next()
        await viewer.send(type="cancel")
        await viewer.until(lambda viewer: viewer.errors)
        assert viewer.errors[-1]["code"] == "forbidden"
    assert (await Job.objects.aget(pk=job.pk)).status == Status.QUEUED


async def test_viewer_gets_not_found_when_the_job_is_deleted(watching: Watching, alice: User) -> None:
    job = await some_job(alice, ["one"], status=Status.COMPLETED)
    async with watching(alice, job) as viewer:
        await viewer.next()
        await in_thread(lifecycle.delete)(job)
        await viewer.until(lambda viewer: viewer.errors)
        assert viewer.errors == [{"type": "error", "code": "not_found", "message": "This job was deleted."}]
        await viewer.send(type="retry")
        assert (await viewer.next())["code"] == "not_found"


async def test_viewer_gets_not_found_when_the_recording_is_deleted(watching: Watching, alice: User) -> None:
    job = await some_job(alice, ["one"], status=Status.COMPLETED)
    async with watching(alice, job) as viewer:
        await viewer.next()
        await Upload.objects.filter(pk=job.upload_id).adelete()
        await viewer.until(lambda viewer: viewer.errors)
        assert viewer.errors[-1]["code"] == "not_found"


# /ws/stream/


async def test_start_message_starts_a_job_and_sends_its_events(
    running: Running, watching: Watching, spoken: Spoken, alice: User
) -> None:
    upload = await in_thread(spoken)(12)
    async with running(), watching(alice) as viewer:
        for _ in range(2):  # a socket may start several jobs
            viewer.forget()
            await viewer.send(type="start", upload=str(upload.pk), engine="scripted", language_code="de-DE")
            await viewer.until_status("completed")
            assert viewer.words == words(12)
            assert viewer.job["language_code"] == "de-DE"
    assert await Job.objects.acount() == 2


async def test_plain_text_line_starts_the_newest_recording_of_that_name(
    running: Running, watching: Watching, upload_of: Callable[..., Upload], spoken: Spoken, alice: User, charlie: User
) -> None:
    first = await in_thread(spoken)(8)
    path = Path(first.file.path)
    newest = await in_thread(upload_of)(alice, path, "8.wav")
    await in_thread(upload_of)(charlie, path, "8.wav")
    async with running(), watching(alice) as viewer:
        await viewer.communicator.send_to(text_data="8.wav\n")
        await viewer.until_status("completed")
        assert viewer.job["upload"] == str(newest.pk)
        await viewer.communicator.send_to(text_data=" \n")
        assert await closed_with(viewer) == 1000


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"type": "start"}, "bad_message"),
        ({"type": "start", "upload": "no uuid"}, "bad_message"),
        ({"type": "start", "upload": "00000000-0000-4000-8000-000000000000"}, "not_found"),
        ({"type": "start", "upload": "OF-ALICE", "engine": "psychic"}, "bad_request"),
        ({"type": "start", "upload": "OF-ALICE", "language_code": "tlh"}, "bad_request"),
        ({"type": "start", "upload": "OF-ALICE", "engine": 5}, "bad_message"),
        ({"type": "start", "upload": "OF-ALICE", "options": []}, "bad_message"),
        ({"type": "start", "upload": "OF-CHARLIE"}, "not_found"),
        ({"type": "cancel"}, "bad_message"),
    ],
    ids=str,
)
async def test_start_message_that_cannot_be_executed_gets_an_error(
    watching: Watching, alice: User, charlie: User, message: dict[str, Any], code: str
) -> None:
    ids = {
        "OF-ALICE": (await in_thread(make_upload)(alice)).pk,
        "OF-CHARLIE": (await in_thread(make_upload)(charlie)).pk,
    }
    if message.get("upload") in ids:
        message = message | {"upload": str(ids[message["upload"]])}
    async with watching(alice) as viewer:
        await viewer.send(**message)
        assert (await viewer.next())["code"] == code
        await viewer.communicator.send_to(text_data="no such recording.wav")
        assert (await viewer.next())["code"] == "not_found"
    assert not await Job.objects.aexists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"show_speaker_label": True, "enable_channel_identification": True},
            "Identify speakers or transcribe channels separately: Amazon Transcribe can't do both at once.",
        ),
        (
            {"identify_language": True, "language_options": ["en-US", "en-GB"]},
            "Choose only one variant per language: “English, US” or “English, British”.",
        ),
        ({"show_speaker_label": None}, "`show_speaker_label` must be true or false."),
        ({"language_options": {"en-US": [[1]]}}, "`language_options` must be a list of strings."),
        ({"\ud800": 1}, "The engine “Amazon Transcribe” has no option “\ufffd”."),
    ],
    ids=str,
)
async def test_invalid_options_get_an_error_and_the_socket_stays_open(
    watching: Watching, alice: User, settings: Any, options: dict[str, Any], sentence: str
) -> None:
    settings.TRANSCRIBE_ENGINES = ["scripted", "aws"]
    settings.AWS_REGION = "eu-west-1"
    upload = await in_thread(make_upload)(alice, channels=2)
    async with watching(alice) as viewer:
        await viewer.send(type="start", upload=str(upload.pk), engine="aws", options=options)
        assert await viewer.next() == {"type": "error", "code": "bad_request", "message": sentence}
        assert not await Job.objects.aexists()
        good = {"show_speaker_label": True, "vocabulary_name": ""}
        await viewer.send(type="start", upload=str(upload.pk), engine="aws", options=good)
        assert (await viewer.next())["type"] == "snapshot"
    assert (await Job.objects.aget()).options == good
