"""The admin's actions on several rows at once: export, retry, cancel."""

import asyncio
import html
import io
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext

from streaming.admin import archive
from streaming.models import Job, Segment, Status
from streaming.transcript import exports
from tests.disks import filled
from tests.streaming.factories import make_job, make_segments, make_staff, make_upload
from tests.streaming.pages import JOBS, UPLOADS, ClientOf, act, said
from transcribe_site import failures

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def unzipped(response: HttpResponse) -> dict[str, str]:
    """Return the files of an archive in their order: name → text."""
    assert (response.status_code, response["Content-Type"]) == (200, "application/zip")
    assert response["Content-Disposition"] == 'attachment; filename="transcripts.zip"'

    async def read() -> bytes:
        return b"".join([piece async for piece in response.streaming_content])

    content = asyncio.run(read())
    assert response["Content-Length"] == str(len(content))
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        assert file.testzip() is None
        return {name: file.read(name).decode() for name in file.namelist()}


def folders(response: HttpResponse) -> list[str]:
    return [name.removesuffix(".txt") for name in unzipped(response) if name.endswith(".txt")]


# Permissions


def offered(client: Client, address: str) -> set[str]:
    form = client.get(address).context["action_form"]
    return {name for name, _ in form.fields["action"].choices if name} if form else set()


def test_the_admin_offers_only_permitted_actions(alice: User, bob: User, client_of: ClientOf) -> None:
    make_job(make_upload(alice))
    assert offered(client_of(bob), JOBS) == {"export", "retry", "cancel", "delete_selected"}
    assert offered(client_of(bob), UPLOADS) == {"export", "delete_selected"}
    looks = client_of(make_staff("dora", "view_job", "view_upload"))
    assert offered(looks, JOBS) == offered(looks, UPLOADS) == {"export"}
    assert offered(client_of(make_staff("emil", "view_job", "change_job")), JOBS) == {"export", "retry", "cancel"}
    assert offered(client_of(make_staff("fritz", "view_upload")), UPLOADS) == set()


@pytest.mark.parametrize("action", ["retry", "cancel", "delete_selected"])
def test_staff_with_read_only_permission_run_no_admin_action(alice: User, client_of: ClientOf, action: str) -> None:
    job = make_job(make_upload(alice), Status.FAILED if action == "retry" else Status.RUNNING)
    client = client_of(make_staff("dora", "view_job", "view_upload"))
    before = Job.objects.values().get()
    act(client, JOBS, action, job, post="yes")
    act(client, UPLOADS, action, job.upload, post="yes")
    assert client.post(f"{JOBS}{job.pk}/delete/", {"post": "yes"}).status_code == 403
    assert client.post(f"{UPLOADS}{job.upload_id}/delete/", {"post": "yes"}).status_code == 403
    assert Job.objects.values().get() == before


# Export


def test_exports_each_transcript_in_every_format(alice: User, bob: User, client_of: ClientOf) -> None:
    first = make_job(make_upload(alice, name="Interview.wav"), created_at=NOON)
    make_segments(first, ["Good morning."])
    second = make_job(make_upload(bob, name="Grüße 👋.mp3"), Status.RUNNING, created_at=NOON + timedelta(days=1))
    make_segments(second, ["So far,", "so good."])
    make_segments(make_job(first.upload), ["Not selected."])
    files = unzipped(act(client_of(bob), JOBS, "export", second, first))
    named = {"Interview/Interview": first.pk, "Grüße 👋/Grüße 👋 (so far)": second.pk}
    assert list(files.items()) == [
        (f"{path}.{name}", exports.write(Job.objects.get(pk=pk), Segment.objects.filter(job=pk), name))
        for path, pk in named.items()
        for name in ("txt", "srt", "vtt", "json")
    ]


def test_exports_all_search_results_beyond_the_current_page(alice: User, bob: User, client_of: ClientOf) -> None:
    upload = make_upload(alice, name="hers.wav")
    jobs = [make_job(upload) for _ in range(55)]
    make_job(make_upload(bob, name="his.wav"))
    response = act(client_of(bob), f"{JOBS}?q=hers", "export", jobs[0], select_across="1")
    assert sorted(folders(response)) == sorted(["hers/hers", *(f"hers/hers ({number})" for number in range(2, 56))])


def test_exports_the_newest_finished_transcript_of_recordings(alice: User, bob: User, client_of: ClientOf) -> None:
    upload = make_upload(alice, name="twice.wav")
    make_segments(make_job(upload, created_at=NOON), ["Older."])
    make_segments(make_job(upload, created_at=NOON + timedelta(days=1)), ["Newer."])
    make_segments(make_job(upload, Status.FAILED, created_at=NOON + timedelta(days=2)), ["Failed."])
    bare = make_upload(alice, name="bare.wav")
    make_segments(make_job(make_upload(alice, name="other.wav")), ["Not selected."])
    files = unzipped(act(client_of(bob), UPLOADS, "export", upload, bare))
    assert list(files) == [f"twice/twice.{name}" for name in ("txt", "srt", "vtt", "json")]
    assert files["twice/twice.txt"] == "Newer.\n"


@pytest.mark.parametrize(
    ("names", "paths"),
    [
        (["../../etc/passwd", "/root.wav", "..", "C:\\x.wav"], ["-..-etc-passwd", "-root", "transcript", "C--x"]),
        (["same.wav", "same.mp3", "SAME.ogg"], ["same", "same (2)", "SAME (3)"]),
        (["same (2).wav", "same.wav", "same.mp3"], ["same (2)", "same", "same (3)"]),
        (["CON.wav", "nul", "com1.txt.wav", "console.wav"], ["_CON", "_nul", "_com1.txt", "console"]),
        (['a<b>:"|?*.wav', "two\nlines\x01.wav", "‮gpj.exe.wav"], ["a-b------", "two lines", "gpj.exe"]),
        (["trailing. . .wav", "ü" * 200 + ".wav", "👩‍👩‍👧.wav"], ["trailing", "ü" * 60, "👩‍👩‍👧"]),
    ],
)
def test_archive_names_are_valid_and_unique_on_every_system(
    alice: User, bob: User, client_of: ClientOf, names: list[str], paths: list[str]
) -> None:
    jobs = [
        make_job(make_upload(alice, name=name), created_at=NOON + timedelta(days=number))
        for number, name in enumerate(names)
    ]
    found = folders(act(client_of(bob), JOBS, "export", *jobs))
    assert [path.split("/")[0] for path in found] == paths
    assert all(len(path.split("/")) == 2 for path in found)
    assert len({path.casefold() for path in found}) == len(names)


def test_several_transcripts_of_a_recording_share_its_folder(alice: User, bob: User, client_of: ClientOf) -> None:
    upload = make_upload(alice, name="talk.wav")
    jobs = [
        make_job(upload, created_at=NOON),
        make_job(make_upload(alice, name="talk.wav"), created_at=NOON + timedelta(days=1)),
        make_job(upload, created_at=NOON + timedelta(days=2)),
        make_job(upload, Status.RUNNING, created_at=NOON + timedelta(days=3)),
    ]
    response = act(client_of(bob), JOBS, "export", *jobs)
    assert folders(response) == ["talk/talk", "talk (2)/talk", "talk/talk (2)", "talk/talk (so far)"]


def test_an_export_takes_as_many_queries_for_thirty_jobs_as_for_one(
    alice: User, bob: User, client_of: ClientOf
) -> None:
    client = client_of(bob)
    jobs = []
    for number in range(30):
        jobs.append(make_job(make_upload(alice), created_at=NOON + timedelta(days=number % 7)))
        make_segments(jobs[-1], [f"This is {number}."] * (number % 3))
    unzipped(act(client, JOBS, "export", jobs[0]))  # runs the queries that a process caches
    with CaptureQueriesContext(connection) as one:
        unzipped(act(client, JOBS, "export", jobs[0]))
    with CaptureQueriesContext(connection) as thirty:
        response = act(client, JOBS, "export", *jobs)
    assert len(thirty) == len(one)
    texts = [text for name, text in unzipped(response).items() if name.endswith(".txt")]
    assert sorted(texts) == sorted(f"This is {number}.\n" * (number % 3) for number in range(30))


def test_a_large_export_uses_a_temporary_file_and_deletes_it(
    alice: User, bob: User, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(archive, "MEMORY_BYTES", 100)
    monkeypatch.setattr(settings, "FILE_UPLOAD_TEMP_DIR", tmp_path)
    job = make_job(make_upload(alice, name="talk.wav"))
    make_segments(job, ["Good morning."] * 500)
    assert folders(act(client_of(bob), JOBS, "export", job)) == ["talk/talk"]
    assert [*tmp_path.iterdir()] == []


def test_a_full_disk_refuses_a_large_export_with_507(
    alice: User, bob: User, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch, small_disk: Path
) -> None:
    monkeypatch.setattr(archive, "MEMORY_BYTES", 100)
    monkeypatch.setattr(settings, "FILE_UPLOAD_TEMP_DIR", small_disk)
    job = make_job(make_upload(alice, name="talk.wav"))
    make_segments(job, ["Good morning."] * 500)
    with filled(small_disk):
        response = act(client_of(bob), JOBS, "export", job)
    assert (response.status_code, failures.DISK_FULL in html.unescape(response.content.decode())) == (507, True)


def test_an_admin_action_without_selected_rows_is_not_an_error(bob: User, client_of: ClientOf) -> None:
    response = act(client_of(bob), JOBS, "export")
    assert response.status_code == 302
    assert len(said(response)) == 1


# Retry and cancel


def test_resumes_failed_and_cancelled_jobs_and_reports_the_skipped_ones(
    alice: User, bob: User, client_of: ClientOf
) -> None:
    upload = make_upload(alice)
    jobs = [make_job(upload, status) for status in Status]
    response = act(client_of(bob), JOBS, "retry", *jobs)
    assert [Job.objects.get(pk=job.pk).status for job in jobs] == ["queued", "running", "completed", "queued", "queued"]
    assert said(response) == [
        "2 jobs resumed.",
        "3 jobs skipped (1 done, 1 transcribing, 1 queued). Only failed and cancelled jobs can be resumed.",
    ]
    assert {(entry.user, entry.object_id, entry.change_message) for entry in LogEntry.objects.all()} == {
        (bob, str(jobs[3].pk), "Resumed."),
        (bob, str(jobs[4].pk), "Resumed."),
    }


def test_cancels_queued_and_running_jobs_and_reports_the_skipped_ones(
    alice: User, bob: User, client_of: ClientOf
) -> None:
    upload = make_upload(alice)
    waits, runs, done = (make_job(upload, status) for status in (Status.QUEUED, Status.RUNNING, Status.COMPLETED))
    client = client_of(bob)
    assert said(act(client, JOBS, "cancel", waits)) == ["1 job cancelled."]
    response = act(client, JOBS, "cancel", runs, done)
    assert said(response)[-2:] == [
        "1 job cancelled.",
        "1 job skipped (1 done). Only queued and running jobs can be cancelled.",
    ]
    assert [Job.objects.get(pk=job.pk).status for job in (waits, runs, done)] == ["cancelled", "cancelled", "completed"]
