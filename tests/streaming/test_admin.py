"""The admin, as a reviewer uses it: finding jobs and recordings, and reading a transcript."""

import html
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext

from streaming.models import Job, Status
from tests.streaming.factories import make_job, make_segments, make_upload

ClientOf = Callable[[User], Client]
JOBS, UPLOADS = "/admin/streaming/job/", "/admin/uploads/upload/"
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def page_of(job: Job) -> str:
    return f"{JOBS}{job.pk}/change/"


def text_of(markup: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", markup)).split())


def rows(response: HttpResponse) -> list[list[str]]:
    """Return the texts of a list's cells, row by row, without the boxes to tick."""
    assert response.status_code == 200
    content = response.content.decode()
    found = re.findall(r"<tr>(?=<td class=\"action)(.*?)</tr>", content, re.DOTALL)
    cells = re.compile(r"<(td|th) class=\"field-[^>]*>(.*?)</\1>", re.DOTALL)
    return [[text_of(markup) for _, markup in cells.findall(row)] for row in found]


def names(response: HttpResponse) -> list[str]:
    return sorted(row[0] for row in rows(response))


def facts(response: HttpResponse) -> dict[str, str]:
    """Return the facts on a page: the name of each field, and its text."""
    assert response.status_code == 200
    field = re.compile(r"<label[^>]*>([^<]*):</label>\s*<div class=\"readonly\">(.*?)</div>", re.DOTALL)
    return {label: text_of(markup) for label, markup in field.findall(response.content.decode())}


def staff(name: str, *permissions: str) -> User:
    """Return a member of staff with these permissions alone, as `view_job`."""
    person = User.objects.create_user(name, is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return person


def queries(client: Client, address: str) -> int:
    client.get(address)  # what a process asks once
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    return len(captured)


# Who may look


@pytest.mark.parametrize("address", ["/admin/", JOBS, UPLOADS])
def test_who_is_not_staff_is_asked_to_sign_in(client: Client, alice: User, client_of: ClientOf, address: str) -> None:
    make_job(make_upload(alice))
    for visitor in (client, client_of(alice)):
        response = visitor.get(address)
        assert response.status_code == 302
        assert response["Location"].endswith(f"/login/?next={address}")


@pytest.mark.parametrize("model", [JOBS, UPLOADS])
def test_staff_without_the_permission_see_nothing(alice: User, client_of: ClientOf, model: str) -> None:
    upload = make_upload(alice)
    job, client = make_job(upload), client_of(staff("dora"))
    row = job if model == JOBS else upload
    for address in (model, f"{model}{row.pk}/change/", f"{model}{row.pk}/delete/"):
        assert client.get(address).status_code == 403


@pytest.mark.parametrize("model", [JOBS, UPLOADS])
def test_nothing_is_added_or_changed_by_hand(alice: User, client_of: ClientOf, model: str) -> None:
    everything = User.objects.create_superuser("root")
    upload = make_upload(alice)
    job, client = make_job(upload), client_of(everything)
    address = f"{model}{(job if model == JOBS else upload).pk}/change/"
    assert client.get(f"{model}add/").status_code == 403
    assert client.post(address, {"name": "mine", "status": "queued", "owner": everything.pk}).status_code == 403
    job.refresh_from_db()
    assert (job.status, job.owner, job.upload.name) == (Status.COMPLETED, alice, "interview.wav")
    inputs = re.findall(r"<(?:input|textarea|select)[^>]*>", client.get(address).content.decode())
    assert [field for field in inputs if 'type="hidden"' not in field] == []


def test_an_id_that_is_none_is_answered_with_the_list(bob: User, client_of: ClientOf) -> None:
    response = client_of(bob).get(f"{JOBS}not-an-id/change/")
    assert (response.status_code, response["Location"]) == (302, "/admin/")


# Lists


def test_the_list_of_jobs_has_what_a_reviewer_needs(alice: User, bob: User, client_of: ClientOf) -> None:
    upload = make_upload(alice, name="Board <meeting>.wav", duration=2650.4)
    job = make_job(upload, engine="local", language_code="en-GB", created_at=NOON)
    Job.objects.filter(pk=job.pk).update(started_at=NOON, finished_at=NOON + timedelta(seconds=62))
    make_segments(job, ["Good morning everybody."])
    make_job(make_upload(bob, name="short.wav"), Status.QUEUED, created_at=NOON - timedelta(days=1))
    assert rows(client_of(bob).get(JOBS)) == [
        ["Board <meeting>.wav", "alice", "local", "en-GB", "Completed", "44:10", "3", "2026-03-01 12:00", "1:02"],
        ["short.wav", "bob", "scripted", "en-US", "Queued", "0:01", "0", "2026-02-28 12:00", "-"],
    ]


def test_the_list_of_recordings_has_what_a_reviewer_needs(alice: User, bob: User, client_of: ClientOf) -> None:
    done = make_upload(alice, name="a.m4a", duration=36_000, size=1_572_864, container="mp4", codec="aac")
    make_job(done, Status.FAILED, created_at=NOON)
    make_job(done, Status.RUNNING, created_at=NOON + timedelta(seconds=1))
    make_upload(bob, created_at=NOON)
    created = f"{done.created_at:%Y-%m-%d %H:%M}"
    assert rows(client_of(bob).get(UPLOADS)) == [
        ["a.m4a", "alice", "10:00:00", "1.5 MB", "mp4, aac", created, "Running"],
        ["interview.wav", "bob", "0:01", "31.3 KB", "wav, pcm_s16le", "2026-03-01 12:00", "-"],
    ]


@pytest.mark.parametrize("address", [JOBS, UPLOADS])
def test_every_column_can_be_sorted_by(alice: User, bob: User, client_of: ClientOf, address: str) -> None:
    upload, client = make_upload(alice), client_of(bob)
    for status in Status:
        make_job(upload, status)
    columns = len(rows(client.get(address))[0])
    length = len(rows(client.get(address)))
    for column in range(1, columns + 1):
        for order in (f"{column}", f"-{column}"):
            assert len(rows(client.get(address, {"o": order}))) == length


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"status__exact": "running"}, ["running.wav"]),
        ({"engine": "local"}, ["local.wav"]),
        ({"language_code": "de-DE"}, ["german.wav"]),
        ({"created_at__gte": "2026-01-01 00:00:00+00:00", "status__exact": "failed"}, []),
        ({"created_at__year": "2020"}, ["old.wav"]),
    ],
)
def test_the_list_is_narrowed(
    alice: User, bob: User, client_of: ClientOf, given: dict[str, str], found: list[str]
) -> None:
    make_job(make_upload(alice, name="running.wav"), Status.RUNNING)
    make_job(make_upload(alice, name="local.wav"), engine="local")
    make_job(make_upload(alice, name="german.wav"), language_code="de-DE")
    make_job(make_upload(alice, name="old.wav"), created_at=NOON.replace(year=2020))
    assert names(client_of(bob).get(JOBS, given)) == found


def test_the_list_is_narrowed_to_an_owner(alice: User, bob: User, client_of: ClientOf) -> None:
    make_job(make_upload(alice, name="hers.wav"))
    make_job(make_upload(bob, name="his.wav"))
    assert names(client_of(bob).get(JOBS, {"owner__id__exact": alice.pk})) == ["hers.wav"]
    assert names(client_of(bob).get(UPLOADS, {"owner__id__exact": bob.pk})) == ["his.wav"]


@pytest.mark.parametrize(
    "given",
    [{"p": "x"}, {"o": "99.x.-3"}, {"status__exact": "x"}, {"owner__id__exact": "x"}, {"created_at__year": "x"}],
)
def test_a_filter_that_is_none_is_no_error(bob: User, client_of: ClientOf, given: dict[str, str]) -> None:
    assert client_of(bob).get(JOBS, given, follow=True).status_code == 200


# Search


@pytest.mark.parametrize("address", [JOBS, UPLOADS])
@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("board", ["board.wav"]),
        ("LIDDELL", ["board.wav", "lecture.wav"]),
        ("bob", ["bobs.wav"]),
        ("wisdom", ["bobs.wav", "lecture.wav"]),
        ("alice wisdom", ["lecture.wav"]),
        ("lecture best wisdom", ["lecture.wav"]),
        ('"age of wisdom"', ["bobs.wav", "lecture.wav"]),
        ('"best of wisdom"', []),
        ("100%", ["board.wav"]),
        ("1_0", []),
        ("nowhere", []),
        ("\x00", ["board.wav", "bobs.wav", "lecture.wav"]),
        ('"', []),
        ("' OR 1=1 --", []),
        ("wisdom " * 2000, ["bobs.wav", "lecture.wav"]),
    ],
)
def test_searches_in_names_owners_and_what_was_said(
    alice: User, bob: User, client_of: ClientOf, address: str, search: str, found: list[str]
) -> None:
    alice.last_name = "Liddell"
    alice.save()
    make_segments(make_job(make_upload(alice, name="board.wav")), ["We agree, 100% of us."])
    times = ["It was the best of times,", "it was the age of wisdom,"]
    make_segments(make_job(make_upload(alice, name="lecture.wav")), times * 15)
    make_segments(make_job(make_upload(bob, name="bobs.wav")), times[1:])
    assert names(client_of(bob).get(address, {"q": search})) == found


# A job's page


def test_a_job_can_be_read_with_times_and_speakers(alice: User, bob: User, client_of: ClientOf) -> None:
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
        "State": "Failed",
        "Engine": "scripted",
        "Language": "en-US",
        "Options": '{"pace": 1}',
        "Failure reason": "The recogniser ended unexpectedly.",
        "Duration": "1:06:40",
        "Words": "6 in 3 segments",
        "Took": "0:05",
        "Created": "2026-03-01 12:00",
        "Started": "2026-03-01 12:00",
        "Finished": "2026-03-01 12:00",
        "Transcript": "0:00 Ann & co Good <b>morning</b>. 1:05 How are you? 1:00:00 Ben Fine.",
    }
    content = response.content.decode()
    assert f'<p><a href="/jobs/{job.pk}/#s2">1:05</a><span>How are you?</span></p>' in content
    assert f'<audio controls preload="none" src="/uploads/{job.upload_id}/audio/"></audio>' in content
    assert f'<a href="/jobs/{job.pk}/" class="viewsitelink">' in content


def test_a_job_without_words_says_so(alice: User, bob: User, client_of: ClientOf) -> None:
    found = facts(client_of(bob).get(page_of(make_job(make_upload(alice), Status.QUEUED))))
    assert found["Transcript"] == "There are no words."
    assert "Failure reason" not in found


def test_who_may_not_hear_a_recording_gets_no_player(alice: User, client_of: ClientOf) -> None:
    job = make_job(make_upload(alice))
    response = client_of(staff("dora", "view_job")).get(page_of(job))
    assert "Player" not in facts(response)
    assert b"/audio/" not in response.content


def test_a_long_transcript_is_whole(alice: User, bob: User, client_of: ClientOf) -> None:
    job = make_job(make_upload(alice))
    make_segments(job, [f"Sentence {number}." for number in range(5000)])
    said = re.findall(r"<span>(Sentence \d+\.)</span>", client_of(bob).get(page_of(job)).content.decode())
    assert said == [f"Sentence {number}." for number in range(5000)]


def test_a_recording_shows_its_jobs(alice: User, bob: User, client_of: ClientOf) -> None:
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
        "Size": "31.3 KB",
        "Created": "2026-03-01 12:00",
        "Container and codec": "wav, pcm_s16le",
        "Sample rate": "16000",
        "Channels": "1",
        "Sha256": "0" * 64,
    }
    content = response.content.decode()
    table = content[content.index('id="jobs-group"') : content.index('class="submit-row"')]
    cells = re.findall(r'<td class="field-\w+">\s*<p>(.*?)</p>', table, re.DOTALL)
    assert [text_of(cell) for cell in cells] == [
        *["Completed", "scripted", "en-US", "2", "2026-03-02 12:00", "0:10"],
        *["Failed", "scripted", "en-US", "0", "2026-03-01 12:00", "0:10"],
    ]
    assert re.findall(r'href="(/[^"]*)"', table) == [
        *[page_of(newer), newer.get_absolute_url()],
        *[page_of(older), older.get_absolute_url()],
    ]


# Costs, and what the page may hold


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
    assert len(rows(client.get(address))) == 30
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
