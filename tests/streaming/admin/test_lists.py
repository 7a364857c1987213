"""The admin's lists: permissions, columns and search."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client

from streaming.models import Job, Status
from tests.streaming.factories import make_job, make_segments, make_staff, make_upload
from tests.streaming.pages import JOBS, UPLOADS, ClientOf, table
from uploads.templatetags.formats import moment

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def names(response: HttpResponse) -> list[str]:
    return sorted(row[0] for row in table(response))


# Permissions


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
    job, client = make_job(upload), client_of(make_staff("dora"))
    row = job if model == JOBS else upload
    for address in (model, f"{model}{row.pk}/change/", f"{model}{row.pk}/delete/"):
        assert client.get(address).status_code == 403


def test_the_admin_list_of_recordings_hides_jobs_from_staff_who_may_not_view_them(
    alice: User, bob: User, client_of: ClientOf
) -> None:
    make_job(make_upload(alice), Status.FAILED)
    assert b"Failed" in client_of(bob).get(UPLOADS).content
    shown = client_of(make_staff("dora", "view_upload")).get(UPLOADS).content
    assert b"interview.wav" in shown
    assert b"Failed" not in shown


@pytest.mark.parametrize("model", [JOBS, UPLOADS])
def test_the_admin_lists_allow_no_adding_or_editing(alice: User, client_of: ClientOf, model: str) -> None:
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


def test_an_invalid_id_in_the_admin_redirects_to_the_list(bob: User, client_of: ClientOf) -> None:
    response = client_of(bob).get(f"{JOBS}not-an-id/change/")
    assert (response.status_code, response["Location"]) == (302, "/admin/")


# Lists


def test_the_admin_list_of_jobs_shows_its_columns(alice: User, bob: User, client_of: ClientOf) -> None:
    upload = make_upload(alice, name="Board <meeting>.wav", duration=2650.4)
    job = make_job(upload, engine="local", language_code="en-GB", created_at=NOON)
    Job.objects.filter(pk=job.pk).update(started_at=NOON, finished_at=NOON + timedelta(seconds=62))
    make_segments(job, ["Good morning everybody."])
    make_job(make_upload(bob, name="short.wav"), Status.QUEUED, created_at=NOON - timedelta(days=1))
    assert table(client_of(bob).get(JOBS)) == [
        ["Board <meeting>.wav", "alice", "local", "en-GB", "Done", "44:10", "3", moment(NOON), "1:02"],
        ["short.wav", "bob", "scripted", "en-US", "Queued", "0:01", "0", moment(NOON - timedelta(days=1)), "-"],
    ]


def test_the_admin_list_of_recordings_shows_its_columns(alice: User, bob: User, client_of: ClientOf) -> None:
    done = make_upload(alice, name="a.m4a", duration=36_000, size=1_572_864, container="mp4", codec="aac")
    make_job(done, Status.FAILED, created_at=NOON)
    make_job(done, Status.RUNNING, created_at=NOON + timedelta(seconds=1))
    make_upload(bob, created_at=NOON)
    created = moment(done.created_at)
    assert table(client_of(bob).get(UPLOADS)) == [
        ["a.m4a", "alice", "10:00:00", "1.5 MB", "MP4 (AAC)", created, "Transcribing"],
        ["interview.wav", "bob", "0:01", "31 KB", "WAV (16-bit PCM)", moment(NOON), "-"],
    ]


@pytest.mark.parametrize("address", [JOBS, UPLOADS])
def test_every_column_can_be_sorted_by(alice: User, bob: User, client_of: ClientOf, address: str) -> None:
    upload, client = make_upload(alice), client_of(bob)
    for status in Status:
        make_job(upload, status)
    columns = len(table(client.get(address))[0])
    length = len(table(client.get(address)))
    for column in range(1, columns + 1):
        for order in (f"{column}", f"-{column}"):
            assert len(table(client.get(address, {"o": order}))) == length


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
def test_the_admin_list_is_filtered_by_each_filter(
    alice: User, bob: User, client_of: ClientOf, given: dict[str, str], found: list[str]
) -> None:
    make_job(make_upload(alice, name="running.wav"), Status.RUNNING)
    make_job(make_upload(alice, name="local.wav"), engine="local")
    make_job(make_upload(alice, name="german.wav"), language_code="de-DE")
    make_job(make_upload(alice, name="old.wav"), created_at=NOON.replace(year=2020))
    assert names(client_of(bob).get(JOBS, given)) == found


def test_the_admin_list_is_filtered_by_owner(alice: User, bob: User, client_of: ClientOf) -> None:
    make_job(make_upload(alice, name="hers.wav"))
    make_job(make_upload(bob, name="his.wav"))
    assert names(client_of(bob).get(JOBS, {"owner__id__exact": alice.pk})) == ["hers.wav"]
    assert names(client_of(bob).get(UPLOADS, {"owner__id__exact": bob.pk})) == ["his.wav"]


@pytest.mark.parametrize(
    "given",
    [{"p": "x"}, {"o": "99.x.-3"}, {"status__exact": "x"}, {"owner__id__exact": "x"}, {"created_at__year": "x"}],
)
def test_an_invalid_filter_value_in_the_admin_is_not_an_error(
    bob: User, client_of: ClientOf, given: dict[str, str]
) -> None:
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
def test_the_admin_searches_names_owners_and_transcripts(
    alice: User, bob: User, client_of: ClientOf, address: str, search: str, found: list[str]
) -> None:
    alice.last_name = "Liddell"
    alice.save()
    make_segments(make_job(make_upload(alice, name="board.wav")), ["We agree, 100% of us."])
    times = ["It was the best of times,", "it was the age of wisdom,"]
    make_segments(make_job(make_upload(alice, name="lecture.wav")), times * 15)
    make_segments(make_job(make_upload(bob, name="bobs.wav")), times[1:])
    assert names(client_of(bob).get(address, {"q": search})) == found
