"""Jobs on recordings with several audio tracks: the choice in the form, over HTTP, sockets and the command."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.test import Client

from streaming import events
from streaming.db import in_thread
from streaming.engines.scripted import encode_number
from streaming.jobs import lifecycle
from streaming.models import Job, Status
from streaming.transcript import exports
from tests.multitrack import Sound, write
from tests.streaming.conftest import Running, Watching, transcript_of, words
from tests.streaming.factories import make_job, make_upload
from tests.streaming.management.test_transcribe_command import environment, transcribe  # noqa: F401 fixtures
from tests.streaming.worker.test_runner import until_status
from uploads.models import Upload

pytestmark = pytest.mark.django_db(transaction=True)

JSON = {"HTTP_ACCEPT": "application/json"}
TRACK = {"codec": "flac", "language": "", "title": "", "sample_rate": 16_000, "channels": 1}
TRACK |= {"is_default": False, "is_decodable": True, "has_sound": True}


def numbers(count: int, first: int) -> np.ndarray:
    return np.concatenate([np.array(encode_number(number)) for number in range(first, first + count)]).astype("<i2")


def two_talks(path: Path) -> Path:
    """Write a file with two tracks: the first speaks 0 to 3; the second, the default, speaks 100 to 103 from 2 s on."""
    sounds = [
        Sound(numbers(4, 0), "Host", "eng", codec="flac"),
        Sound(numbers(4, 100), "Guest", "ger", codec="flac", offset=2.0, is_default=True),
    ]
    return write(path, sounds)


@pytest.fixture
def talks(upload_of: Callable[..., Upload], alice: User, tmp_path: Path) -> Upload:
    return upload_of(alice, two_talks(tmp_path / "talks.mkv"))


@pytest.mark.parametrize(
    ("asked", "stored", "spoken"),
    [(None, 1, words(4, 100)), (0, 0, words(4)), ("1", 1, words(4, 100)), ("all", "all", words(4) + words(4, 100))],
)
async def test_a_job_transcribes_the_requested_track(
    talks: Upload, running: Running, asked: object, stored: object, spoken: list[str]
) -> None:
    job, _ = await in_thread(lifecycle.start)(talks, engine="scripted", track=asked)
    async with running():
        done = await until_status(job, Status.COMPLETED)
    assert await in_thread(transcript_of)(done) == spoken
    assert events.job_object(done)["track"] == stored
    content = json.loads(await in_thread(exports.write)(await in_thread(loaded)(done), [], "json"))
    assert content["job"]["track"] == stored


def loaded(job: Job) -> Job:
    return Job.objects.select_related("upload").get(pk=job.pk)


async def test_a_retry_resumes_on_the_same_track(talks: Upload, running: Running) -> None:
    options = {"words_per_final": 1, "fail_at": 1.2}
    job, _ = await in_thread(lifecycle.start)(talks, engine="scripted", track=0, options=options)
    async with running():
        await until_status(job, Status.FAILED)
        await Upload.objects.aupdate(track=1)  # the recording's default no longer matters to this job
        await Job.objects.filter(pk=job.pk).aupdate(options={"words_per_final": 1})
        await in_thread(lifecycle.retry)(job)
        done = await until_status(job, Status.COMPLETED)
    assert await in_thread(transcript_of)(done) == words(4)
    assert (await in_thread(lifecycle.remaining)(done)).track == 0


async def test_another_track_does_not_change_the_length_of_the_recording(talks: Upload, running: Running) -> None:
    length = talks.duration
    job, _ = await in_thread(lifecycle.start)(talks, engine="scripted", track=0)
    async with running():
        done = await until_status(job, Status.COMPLETED)
    await talks.arefresh_from_db()
    assert (done.duration, talks.duration) == (pytest.approx(2.0, abs=0.05), length)


async def test_a_start_over_the_socket_accepts_a_track(
    talks: Upload, alice: User, running: Running, watching: Watching
) -> None:
    async with running(), watching(alice) as viewer:
        await viewer.send(type="start", upload=str(talks.pk), engine="scripted", track=0)
        await viewer.until_status("completed")
        assert (viewer.words, viewer.job["track"]) == (words(4), 0)
        await viewer.send(type="start", upload=str(talks.pk), engine="scripted", track=2)
        await viewer.until(lambda viewer: viewer.errors)
        await viewer.send(type="start", upload=str(talks.pk), engine="scripted", track=["all"])
        await viewer.until(lambda viewer: len(viewer.errors) == 2)
    assert [error["code"] for error in viewer.errors] == ["bad_request"] * 2
    assert viewer.errors[0]["message"] == "There is no track 2. This recording has 2 audio tracks, 0 to 1."


def test_the_start_form_accepts_a_track(talks: Upload, alice: User, client_of: Callable[[User], Client]) -> None:
    address, client = f"/uploads/{talks.pk}/jobs/", client_of(alice)
    for given, stored in (({"track": "0"}, "0"), ({"track": "all"}, "all"), ({"track": ""}, "1"), ({}, "1")):
        response = client.post(address, {"engine": "scripted", **given}, **JSON)
        assert Job.objects.get(pk=response.json()["id"]).track == stored
    response = client.post(address, {"engine": "scripted", "track": "7"}, **JSON)
    assert (response.status_code, response.json()["error"][:20]) == (400, "There is no track 7.")


def test_the_recordings_page_lists_the_tracks_and_offers_them(
    talks: Upload, alice: User, client_of: Callable[[User], Client]
) -> None:
    make_job(talks, track="all")
    content = client_of(alice).get(talks.get_absolute_url()).content.decode()
    assert "Track 1 · Host · eng" in content
    assert "Track 2 · Guest · ger" in content
    assert '<option value="1" selected>Track 2 · Guest · ger</option>' in content
    assert '<option value="all">All tracks mixed</option>' in content
    assert '<p class="quiet track">All tracks mixed</p>' in content


def test_a_recording_with_one_track_shows_no_track_field(alice: User, client_of: Callable[[User], Client]) -> None:
    for upload in (make_upload(alice), make_upload(alice, tracks=[TRACK])):
        content = client_of(alice).get(upload.get_absolute_url()).content.decode()
        assert "Audio track" not in content
        assert "All tracks mixed" not in content


def test_a_recording_from_before_tracks_were_stored_is_one_track(alice: User) -> None:
    upload = make_upload(alice)
    job, _ = lifecycle.start(upload, engine="scripted")
    assert "track" not in events.job_object(job)
    assert events.job_object(lifecycle.start(upload, engine="scripted", track=0)[0])["track"] == 0
    with pytest.raises(lifecycle.JobRefused, match="one audio track"):
        lifecycle.start(upload, engine="scripted", track=1)


def test_a_track_that_cannot_be_decoded_is_refused(alice: User) -> None:
    upload = make_upload(alice, tracks=[{**TRACK, "is_decodable": False}, TRACK], track=1)
    with pytest.raises(lifecycle.JobRefused, match="can't be decoded"):
        lifecycle.start(upload, engine="scripted", track=0)


def test_the_engine_checks_the_channels_of_the_chosen_track(alice: User, with_aws: None) -> None:
    upload = make_upload(alice, tracks=[{**TRACK, "channels": 2}, TRACK], track=1)
    options = {"enable_channel_identification": True}
    assert lifecycle.start(upload, engine="aws", options=options, track=0)
    assert lifecycle.start(upload, engine="aws", options=options, track="all")
    with pytest.raises(lifecycle.JobRefused, match="channel"):
        lifecycle.start(upload, engine="aws", options=options)


def test_the_admin_shows_the_track(alice: User, bob: User, client_of: Callable[[User], Client]) -> None:
    upload = make_upload(alice, tracks=[{**TRACK, "title": "<b>Host"}, TRACK])
    job = make_job(upload, track="0")
    client = client_of(bob)
    assert "Track 1 · &lt;b&gt;Host" in client.get(f"/admin/streaming/job/{job.pk}/change/").content.decode()
    assert "Track 1 · &lt;b&gt;Host, FLAC" in client.get(f"/admin/uploads/upload/{upload.pk}/change/").content.decode()


def test_the_transcribe_command_accepts_a_track(
    tmp_path: Path,
    environment: dict[str, str],  # noqa: F811
    transcribe: Callable[..., "subprocess.CompletedProcess[str]"],  # noqa: F811
) -> None:
    environment["DJANGO_SETTINGS_MODULE"] = "tests.settings"  # these settings offer the scripted engine
    path = two_talks(tmp_path / "talks.mkv")
    for arguments, track, said in ((["--track", "0"], 0, words(4)), ([], 1, words(4, 100))):
        transcript = json.loads(transcribe(path, *arguments, "--engine", "scripted", "--format", "json").stdout)
        assert transcript["job"]["track"] == track
        assert " ".join(segment["text"] for segment in transcript["segments"]).split() == said
    refused = transcribe(path, "--track", "5")
    assert (refused.returncode, "There is no track 5." in refused.stderr) == (1, True)
