"""The admin's pages of a job and of a recording: their content, their queries, and texts that no page may show."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse

from streaming.models import Job, Status
from tests.streaming.factories import make_job, make_segments, make_staff, make_upload
from tests.streaming.pages import JOBS, UPLOADS, ClientOf, queries, table, text_of
from uploads.templatetags.formats import moment

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def page_of(job: Job) -> str:
    return f"{JOBS}{job.pk}/change/"


def facts(response: HttpResponse) -> dict[str, str]:
    """Return the read-only fields of a page: label → text."""
    assert response.status_code == 200
    field = re.compile(r"<label[^>]*>([^<]*):</label>\s*<div class=\"readonly\">(.*?)</div>", re.DOTALL)
    return {label: text_of(markup) for label, markup in field.findall(response.content.decode())}


# A job's page


def test_the_admin_shows_a_transcript_with_times_and_speakers(alice: User, bob: User, client_of: ClientOf) -> None:
    job = make_job(make_upload(alice, duration=4000), Status.FAILED, created_at=NOON, options={"pace": 1})
    Job.objects.filter(pk=job.pk).update(started_at=NOON, finished_at=NOON + timedelta(seconds=5))
    make_segments(job, ["Good <b>morning</b>."], speaker="Ann & co")
    make_segments(job, ["How are you?"], speaker="Ann & co", start_time=65.9)
    make_segments(job, ["Fine."], speaker="Ben", start_time=3600)
    response = client_of(bob).get(page_of(job))
    assert facts(response) == {
        "Upload": "interview.wav",
        "Owner": "alice",
        "Player": "",
        "Status": "Failed",
        "Engine": "scripted",
        "Language": "en-US",
        "Options": '{"pace": 1}',
        "Failure reason": "The recogniser ended unexpectedly.",
        "Duration": "1:06:40",
        "Words": "6 in 3 segments",
        "Processing time": "0:05",
        "Created": moment(NOON),
        "Started": moment(NOON),
        "Finished": moment(NOON),
        "Transcript": "0:00 Ann & co Good <b>morning</b>. 1:05 How are you? 1:00:00 Ben Fine.",
    }
    content = response.content.decode()
    assert f'<p><a href="/jobs/{job.pk}/#s2">1:05</a><span>How are you?</span></p>' in content
    assert f'<audio controls preload="none" src="/uploads/{job.upload_id}/listen/"></audio>' in content
    assert f'<a href="/jobs/{job.pk}/" class="viewsitelink">' in content


def test_the_admin_shows_that_a_job_has_no_transcript(alice: User, bob: User, client_of: ClientOf) -> None:
    found = facts(client_of(bob).get(page_of(make_job(make_upload(alice), Status.QUEUED))))
    assert found["Transcript"] == "No transcript."
    assert "Failure reason" not in found


def test_the_admin_shows_no_player_without_permission_for_the_recording(alice: User, client_of: ClientOf) -> None:
    job = make_job(make_upload(alice))
    response = client_of(make_staff("dora", "view_job")).get(page_of(job))
    assert "Player" not in facts(response)
    assert b"/listen/" not in response.content


def test_the_admin_shows_a_long_transcript_completely(alice: User, bob: User, client_of: ClientOf) -> None:
    job = make_job(make_upload(alice))
    make_segments(job, [f"Sentence {number}." for number in range(5000)])
    said = re.findall(r"<span>(Sentence \d+\.)</span>", client_of(bob).get(page_of(job)).content.decode())
    assert said == [f"Sentence {number}." for number in range(5000)]


def test_the_admin_page_of_a_recording_lists_its_jobs(alice: User, bob: User, client_of: ClientOf) -> None:
    upload = make_upload(alice, duration=62, created_at=NOON)
    older = make_job(upload, Status.FAILED, created_at=NOON)
    newer = make_job(upload, created_at=NOON + timedelta(days=1))
    make_segments(newer, ["Good morning."])
    make_job(make_upload(bob))
    response = client_of(bob).get(f"{UPLOADS}{upload.pk}/change/")
    assert facts(response) == {
        "Owner": "alice",
        "Player": "",
        "Duration": "1:02",
        "Size": "31 KB",
        "Created": moment(NOON),
        "Format": "WAV (16-bit PCM)",
        "Sample rate": "16000",
        "Channels": "1",
        "Sha256": "0" * 64,
    }
    content = response.content.decode()
    table = content[content.index('id="jobs-group"') : content.index('class="submit-row"')]
    cells = re.findall(r'<td class="field-\w+">\s*<p>(.*?)</p>', table, re.DOTALL)
    assert [text_of(cell) for cell in cells] == [
        *["Done", "scripted", "en-US", "2", moment(NOON + timedelta(days=1)), "0:10"],
        *["Failed", "scripted", "en-US", "0", moment(NOON), "0:10"],
    ]
    assert re.findall(r'href="(/[^"]*)"', table) == [
        *[page_of(newer), newer.get_absolute_url()],
        *[page_of(older), older.get_absolute_url()],
    ]


# Queries, and text that the page may not contain


@pytest.mark.parametrize(
    "address", [JOBS, f"{JOBS}?q=hello", f"{JOBS}?status__exact=completed", UPLOADS, f"{UPLOADS}?q=hello"]
)
def test_lists_take_as_many_queries_for_thirty_rows_as_for_one(
    alice: User, bob: User, client_of: ClientOf, address: str
) -> None:
    client = client_of(bob)
    make_segments(make_job(make_upload(alice)), ["Hello."])
    few = queries(client, address)
    for number in range(29):
        owner = User.objects.create_user(f"person {number}")
        make_segments(make_job(make_upload(owner)), ["Hello.", "Hello again."])
    assert len(table(client.get(address))) == 30
    assert queries(client, address) == few


@pytest.mark.parametrize("page", ["job", "upload"])
def test_pages_take_as_many_queries_for_thirty_rows_as_for_one(
    alice: User, bob: User, client_of: ClientOf, page: str
) -> None:
    client, upload = client_of(bob), make_upload(alice)
    job = make_job(upload)
    make_segments(job, ["Hello."])
    address = page_of(job) if page == "job" else f"{UPLOADS}{upload.pk}/change/"
    few = queries(client, address)
    for _ in range(29):
        make_segments(make_job(upload), ["Hello."])
    make_segments(job, ["Hello."] * 29)
    assert queries(client, address) == few


def test_pages_keep_to_the_policy_that_forbids_inline_scripts_and_styles(alice: User, client_of: ClientOf) -> None:
    client, upload = client_of(User.objects.create_superuser("root")), make_upload(alice)
    job = make_job(upload)
    make_segments(job, ["Hello."])
    pages = ["/admin/", JOBS, UPLOADS, page_of(job), f"{UPLOADS}{upload.pk}/change/", f"{JOBS}{job.pk}/delete/"]
    for address in pages:
        response = client.get(address)
        content = response.content.decode()
        assert "default-src 'self'" in response["Content-Security-Policy"]
        assert re.findall(r"<[^>]+\s(?:style|on\w+)=", content) == []
        assert re.findall(r"<style|<script(?![^>]*\ssrc=)(?![^>]*application/json)", content) == []
        assert "Transcribe" in content
