"""The pages of recordings and jobs, and what can be done there: for who owns them, for staff, and for nobody else."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.messages import get_messages
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from streaming.engines.local import LocalEngine
from streaming.models import Job, Segment, Status
from streaming.samples import SAMPLE_NAME
from tests.streaming.factories import make_job, make_segments, make_upload
from uploads.models import Upload

ClientOf = Callable[[User], Client]
JSON = {"Accept": "application/json"}
# Of whoever owns the rows; `{upload}` and `{job}` are their ids.
PAGES = ["/", "/uploads/{upload}/", "/jobs/", "/jobs/{job}/", "/jobs/{job}/transcript.txt"]
DEEDS = ["/sample/", "/uploads/{upload}/jobs/", "/jobs/{job}/cancel/", "/jobs/{job}/retry/", "/jobs/{job}/delete/"]


class Rows(NamedTuple):
    """A recording with a job that failed in the middle, so that it can be retried, read and deleted."""

    upload: Upload
    job: Job

    def address(self, pattern: str) -> str:
        return pattern.format(upload=self.upload.pk, job=self.job.pk)


def rows_of(owner: User, said: str = "It was the best of times,") -> Rows:
    upload = make_upload(owner, name=f"{owner.username}.wav")
    job = make_job(upload, Status.FAILED)
    make_segments(job, [said, "it was the worst of times."])
    return Rows(upload, job)


@pytest.fixture
def rows(alice: User) -> Rows:
    return rows_of(alice)


def viewer(name: str, *permissions: str) -> User:
    """Return a member of staff with these permissions alone, as `view_job`."""
    person = User.objects.create_user(name, is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return person


def state() -> tuple[list[Any], ...]:
    """Return all that a request could change."""
    return tuple([*model.objects.order_by("pk").values()] for model in (Upload, Job, Segment))


def said(response: HttpResponse) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def queries(client: Client, address: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(address).status_code == 200
    return len(captured)


# Who may what


@pytest.mark.parametrize("headers", [{}, JSON])
@pytest.mark.parametrize("pattern", PAGES)
def test_who_is_not_signed_in_is_asked_to(client: Client, rows: Rows, pattern: str, headers: dict[str, str]) -> None:
    address = rows.address(pattern)
    response = client.get(address, headers=headers)
    assert (response.status_code, response["Location"]) == (302, f"/accounts/login/?next={address}")


@pytest.mark.parametrize("headers", [{}, JSON])
@pytest.mark.parametrize("pattern", DEEDS)
def test_who_is_not_signed_in_does_nothing(client: Client, rows: Rows, pattern: str, headers: dict[str, str]) -> None:
    before, address = state(), rows.address(pattern)
    response = client.post(address, headers=headers)
    assert (response.status_code, response["Location"]) == (302, f"/accounts/login/?next={address}")
    assert state() == before


@pytest.mark.parametrize("headers", [{}, JSON])
@pytest.mark.parametrize("pattern", [pattern for pattern in [*PAGES, *DEEDS] if "{" in pattern])
def test_a_stranger_finds_nothing(
    charlie: User, client_of: ClientOf, rows: Rows, pattern: str, headers: dict[str, str]
) -> None:
    rows_of(charlie)
    before, client = state(), client_of(charlie)
    call = client.get if pattern in PAGES else client.post
    response = call(rows.address(pattern), headers=headers)
    assert response.status_code == 404
    assert b"best of times" not in response.content
    assert b"alice" not in response.content
    assert state() == before


@pytest.mark.parametrize("pattern", [*PAGES, *DEEDS])
def test_another_method_is_not_allowed(alice: User, client_of: ClientOf, rows: Rows, pattern: str) -> None:
    before, client = state(), client_of(alice)
    wrong = [client.post, client.put, client.patch, client.delete] if pattern in PAGES else [client.get, client.put]
    assert {call(rows.address(pattern)).status_code for call in wrong} == {405}
    assert state() == before


@pytest.mark.parametrize("given", ["1", "not-an-id", "00000000-0000-0000-0000-00000000000g", "%00", "../jobs"])
@pytest.mark.parametrize("pattern", [pattern for pattern in [*PAGES, *DEEDS] if "{" in pattern])
def test_an_id_that_is_none_is_not_found(alice: User, client_of: ClientOf, pattern: str, given: str) -> None:
    address = pattern.format(upload=given, job=given)
    client = client_of(alice)
    assert (client.get if pattern in PAGES else client.post)(address).status_code == 404


@pytest.mark.parametrize("pattern", [pattern for pattern in [*PAGES, *DEEDS] if "{" in pattern])
def test_an_id_of_nothing_is_not_found(alice: User, client_of: ClientOf, pattern: str) -> None:
    address = pattern.format(upload=uuid.uuid4(), job=uuid.uuid4())
    client = client_of(alice)
    assert (client.get if pattern in PAGES else client.post)(address).status_code == 404


@pytest.mark.parametrize("pattern", DEEDS)
def test_a_form_of_another_site_does_nothing(alice: User, rows: Rows, pattern: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    before = state()
    assert client.post(rows.address(pattern)).status_code == 403
    assert state() == before


@pytest.mark.parametrize("pattern", [pattern for pattern in PAGES if "{" in pattern])
def test_staff_see_what_is_others(bob: User, client_of: ClientOf, rows: Rows, pattern: str) -> None:
    assert client_of(bob).get(rows.address(pattern)).status_code == 200


@pytest.mark.parametrize("pattern", [pattern for pattern in DEEDS if "{" in pattern])
def test_staff_who_may_only_look_change_nothing(client_of: ClientOf, rows: Rows, pattern: str) -> None:
    before = state()
    client = client_of(viewer("dora", "view_upload", "view_job"))
    assert client.post(rows.address(pattern)).status_code == 403
    assert state() == before


@pytest.mark.parametrize("pattern", [pattern for pattern in [*PAGES, *DEEDS] if "{" in pattern])
def test_staff_without_the_permission_are_strangers(client_of: ClientOf, rows: Rows, pattern: str) -> None:
    client = client_of(viewer("dora"))
    assert (client.get if pattern in PAGES else client.post)(rows.address(pattern)).status_code == 404


# The library


def test_the_library_shows_ones_own_recordings_newest_first_each_with_its_last_job(
    alice: User, charlie: User, client_of: ClientOf
) -> None:
    now = timezone.now()
    bare = make_upload(alice, name="bare.wav", created_at=now - timedelta(days=2))
    done = make_upload(alice, name="done.wav", created_at=now - timedelta(days=1))
    make_job(done, Status.FAILED, created_at=now - timedelta(hours=2))
    last = make_job(done, created_at=now - timedelta(hours=1))
    again = make_upload(alice, name="done.wav")
    rows_of(charlie)
    response = client_of(alice).get("/")
    assert response.status_code == 200
    shown = [(upload, upload.last_job) for upload in response.context["page"]]
    assert shown == [(again, None), (done, last), (bare, None)]
    assert b"charlie.wav" not in response.content


def test_the_library_of_staff_is_their_own(bob: User, client_of: ClientOf, rows: Rows) -> None:
    assert [*client_of(bob).get("/").context["page"]] == []


@pytest.mark.parametrize("address", ["/", "/jobs/"])
@pytest.mark.parametrize(
    ("page", "number", "length"),
    [("", 1, 30), ("1", 1, 30), ("2", 2, 1), ("3", 2, 1), ("0", 2, 1), ("-1", 2, 1), ("x", 1, 30), ("9" * 30, 2, 1)],
)
def test_lists_come_in_pages_of_thirty(
    alice: User, client_of: ClientOf, address: str, page: str, number: int, length: int
) -> None:
    for _ in range(31):
        make_job(make_upload(alice))
    response = client_of(alice).get(address, {"page": page})
    assert response.status_code == 200
    assert (response.context["page"].number, len(response.context["page"])) == (number, length)


@pytest.mark.parametrize("address", ["/", "/jobs/"])
def test_lists_take_as_many_queries_for_thirty_rows_as_for_one(alice: User, client_of: ClientOf, address: str) -> None:
    client = client_of(alice)
    make_job(make_upload(alice))
    few = queries(client, address)
    for _ in range(29):
        make_job(make_upload(alice))
    assert queries(client, address) == few


def test_a_recording_takes_as_many_queries_with_thirty_jobs_as_with_one(alice: User, client_of: ClientOf) -> None:
    client, upload = client_of(alice), make_upload(alice)
    make_segments(make_job(upload), ["Hello."])
    few = queries(client, upload.get_absolute_url())
    for _ in range(29):
        make_segments(make_job(upload), ["Hello."])
    assert queries(client, upload.get_absolute_url()) == few


def test_a_job_takes_as_many_queries_with_thousands_of_segments_as_with_one(alice: User, client_of: ClientOf) -> None:
    client, job = client_of(alice), make_job(make_upload(alice))
    make_segments(job, ["Hello."])
    few = queries(client, job.get_absolute_url())
    make_segments(job, ["Hello."] * 2000)
    assert queries(client, job.get_absolute_url()) == few


def test_a_sample_can_be_tried(alice: User, client_of: ClientOf) -> None:
    response = client_of(alice).post("/sample/")
    upload = Upload.objects.get()
    assert (response.status_code, response["Location"]) == (302, f"/uploads/{upload.pk}/")
    assert (upload.owner, upload.name, upload.container, upload.codec) == (alice, SAMPLE_NAME, "wav", "pcm_s16le")
    assert 44 < upload.duration < 45


def test_a_sample_that_is_too_large_here_is_refused_with_a_reason(
    alice: User, client_of: ClientOf, settings: Settings
) -> None:
    settings.MAX_UPLOAD_BYTES = 1024**2
    reason = "This file is larger than 1 MiB. A compressed copy (M4A, MP3, OGG) may fit."
    response = client_of(alice).post("/sample/")
    assert (response.status_code, response["Location"], said(response)) == (302, "/", [reason])
    response = client_of(alice).post("/sample/", headers=JSON)
    assert (response.status_code, response.json()) == (413, {"error": reason})
    assert not Upload.objects.exists()


# A recording


def test_a_recording_shows_its_jobs_and_the_form_that_starts_one(alice: User, client_of: ClientOf, rows: Rows) -> None:
    newer = make_job(rows.upload, Status.RUNNING)
    make_job(make_upload(alice))
    context = client_of(alice).get(rows.upload.get_absolute_url()).context
    assert context["upload"] == rows.upload
    assert [*context["jobs"]] == [newer, rows.job]
    assert context["form"]["engine"].value() == "scripted"
    assert (context["can_start"], context["can_change"]) == (True, True)


def test_a_recording_shows_staff_what_they_may_do(bob: User, client_of: ClientOf, rows: Rows) -> None:
    address = rows.upload.get_absolute_url()
    context = client_of(bob).get(address).context
    assert (context["can_start"], context["can_change"]) == (True, True)
    context = client_of(viewer("dora", "view_upload", "view_job")).get(address).context
    assert (context["can_start"], context["can_change"]) == (False, False)


# Starting a job


def test_starts_a_job_and_shows_it(alice: User, client_of: ClientOf) -> None:
    upload = make_upload(alice, duration=12.5)
    response = client_of(alice).post(reverse("job-create", args=[upload.pk]), {"engine": "local"})
    job = Job.objects.get()
    assert (response.status_code, response["Location"]) == (302, f"/jobs/{job.pk}/")
    assert (job.upload, job.owner, job.engine, job.language_code) == (upload, alice, "local", "en-US")
    assert (job.status, job.duration, job.attempt) == ("queued", 12.5, 0)


def test_tells_a_program_about_the_job_that_it_started(alice: User, client_of: ClientOf) -> None:
    address = reverse("job-create", args=[make_upload(alice).pk])
    response = client_of(alice).post(address, {"engine": "scripted", "language_code": "de-DE"}, headers=JSON)
    job = Job.objects.get()
    assert response.status_code == 201
    assert response.json() == {"id": str(job.pk), "url": f"/jobs/{job.pk}/", "status": "queued"}
    assert (job.engine, job.language_code) == ("scripted", "de-DE")


def test_the_same_request_is_answered_with_the_same_job(alice: User, client_of: ClientOf) -> None:
    address = reverse("job-create", args=[make_upload(alice).pk])
    client, given = client_of(alice), {"request_id": "once"}
    first = client.post(address, given, headers=JSON)
    second = client.post(address, given, headers=JSON)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert client.post(address, given)["Location"] == first.json()["url"]
    assert Job.objects.count() == 1
    assert client.post(address, {"request_id": "another"}, headers=JSON).status_code == 201


def test_the_same_request_of_another_person_is_another(alice: User, charlie: User, client_of: ClientOf) -> None:
    for person in (alice, charlie):
        address = reverse("job-create", args=[make_upload(person).pk])
        assert client_of(person).post(address, {"request_id": "once"}, headers=JSON).status_code == 201
    assert Job.objects.count() == 2


def test_staff_start_jobs_for_the_owner(alice: User, bob: User, client_of: ClientOf) -> None:
    upload = make_upload(alice)
    assert client_of(bob).post(reverse("job-create", args=[upload.pk])).status_code == 302
    assert Job.objects.get().owner == alice


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"engine": "abacus"}, "Select a valid choice. abacus is not one of the available choices."),
        (
            {"language_code": "tlh"},
            "The engine “Scripted” does not know the language “tlh”. It knows: en-US, de-DE.",
        ),
        (
            {"engine": "local", "language_code": "de-DE"},
            f"The engine “{LocalEngine.label}” does not know the language “de-DE”. It knows: en-US, en-GB, en-AU.",
        ),
        ({"request_id": "r" * 101}, "Ensure this value has at most 100 characters (it has 101)."),
        ({"request_id": "\x00"}, "Null characters are not allowed."),
        ({"request_id": "of another"}, "This request_id was used for another recording."),
    ],
)
def test_says_why_a_job_can_not_be_started(
    alice: User, client_of: ClientOf, given: dict[str, str], reason: str
) -> None:
    make_job(make_upload(alice), request_id="of another")
    address = reverse("job-create", args=[make_upload(alice).pk])
    client = client_of(alice)
    response = client.post(address, given, headers=JSON)
    assert (response.status_code, response.json()) == (400, {"error": reason})
    response = client.post(address, given)
    assert response.status_code == 400
    errors = [error for found in response.context["form"].errors.values() for error in found]
    assert errors == [reason]
    assert Job.objects.count() == 1


def test_a_body_that_is_no_form_starts_a_job_with_what_is_usual(alice: User, client_of: ClientOf) -> None:
    address = reverse("job-create", args=[make_upload(alice).pk])
    response = client_of(alice).post(address, b"\xff\x00{", content_type="application/json", headers=JSON)
    assert response.status_code == 201
    assert Job.objects.get().engine == "scripted"


# The history


def test_the_history_shows_ones_own_jobs_newest_first(alice: User, bob: User, client_of: ClientOf, rows: Rows) -> None:
    newer = make_job(rows.upload, Status.RUNNING)
    theirs = rows_of(bob)
    response = client_of(alice).get("/jobs/")
    assert [*response.context["page"]] == [newer, rows.job]
    assert response.context["is_narrowed"] is False
    assert b"bob.wav" not in response.content
    assert [*client_of(bob).get("/jobs/").context["page"]] == [theirs.job]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"status": "failed"}, ["failed scripted"]),
        ({"engine": "local"}, ["completed local", "running local"]),
        ({"engine": "local", "status": "running"}, ["running local"]),
        ({"engine": "scripted", "status": "running"}, []),
        ({"engine": "abacus", "status": "running"}, ["running local"]),
        ({"status": "x' OR 1=1", "engine": "\x00"}, ["completed local", "failed scripted", "running local"]),
    ],
)
def test_the_history_is_narrowed_by_state_and_engine(
    alice: User, client_of: ClientOf, given: dict[str, str], shown: list[str]
) -> None:
    upload = make_upload(alice)
    make_job(upload, Status.RUNNING, engine="local")
    make_job(upload, Status.FAILED)
    make_job(upload, engine="local")
    response = client_of(alice).get("/jobs/", given)
    assert response.status_code == 200
    assert sorted(f"{job.status} {job.engine}" for job in response.context["page"]) == shown


# A job


def test_a_job_shows_its_transcript_and_what_the_page_goes_on_with(
    alice: User, client_of: ClientOf, rows: Rows
) -> None:
    context = client_of(alice).get(rows.job.get_absolute_url()).context
    assert (context["job"], context["upload"], context["seq"], context["can_change"]) == (
        rows.job,
        rows.upload,
        2,
        True,
    )
    assert [segment.text for segment in context["segments"]] == [
        "It was the best of times,",
        "it was the worst of times.",
    ]
    assert context["socket_path"] == f"/ws/jobs/{rows.job.pk}/"
    assert context["formats"] == [("txt", "Text"), ("srt", "SRT"), ("vtt", "VTT"), ("json", "JSON")]
    assert context["job_data"] == {
        "id": str(rows.job.pk),
        "upload": str(rows.upload.pk),
        "engine": "scripted",
        "language_code": "en-US",
        "status": "failed",
        "position": 0.0,
        "duration": 1.0,
        "failure_reason": "The recogniser ended unexpectedly.",
        "segments": 2,
        "created_at": rows.job.created_at.isoformat(),
        "started_at": rows.job.started_at.isoformat(),
        "finished_at": rows.job.finished_at.isoformat(),
    }


@pytest.mark.parametrize("status", Status)
def test_a_job_has_a_page_in_every_state_with_words_and_without(
    alice: User, client_of: ClientOf, status: Status
) -> None:
    client, job = client_of(alice), make_job(make_upload(alice), status)
    response = client.get(job.get_absolute_url())
    assert (response.status_code, response.context["seq"]) == (200, 0)
    make_segments(job, ["Hello."])
    response = client.get(job.get_absolute_url())
    assert (response.status_code, response.context["seq"]) == (200, 1)


def test_what_was_said_and_named_is_shown_as_text(alice: User, client_of: ClientOf) -> None:
    name = "<img src=x>.wav"
    job = make_job(make_upload(alice, name=name), Status.FAILED, failure_reason="<i>bad</i>")
    make_segments(job, ["</script><script>alert(1)</script>"], speaker="<b>Ann</b>")
    client = client_of(alice)
    for address in ("/", "/jobs/", job.upload.get_absolute_url(), job.get_absolute_url()):
        content = client.get(address).content
        assert b"&lt;img src=x&gt;.wav" in content
        for markup in (b"<img src=x>", b"<i>bad", b"<script>alert", b"<b>Ann"):
            assert markup not in content


def test_staff_who_may_only_look_are_offered_no_change(client_of: ClientOf, rows: Rows) -> None:
    person = viewer("dora", "view_upload", "view_job")
    assert client_of(person).get(rows.job.get_absolute_url()).context["can_change"] is False


@pytest.mark.parametrize("format", ["exe", "TXT", "txt.exe", "json\x00", "%2e"])
def test_a_format_that_is_not_known_is_not_found(alice: User, client_of: ClientOf, rows: Rows, format: str) -> None:
    assert client_of(alice).get(f"/jobs/{rows.job.pk}/transcript.{format}").status_code == 404


def test_a_running_job_gives_its_transcript_so_far(alice: User, client_of: ClientOf) -> None:
    job = make_job(make_upload(alice), Status.RUNNING)
    make_segments(job, ["So far."])
    response = client_of(alice).get(reverse("job-transcript", args=[job.pk, "txt"]))
    assert (response.status_code, response.content) == (200, b"So far.\n")
    assert response["Content-Disposition"] == 'attachment; filename="interview (so far).txt"'


# Cancel, retry, delete


@pytest.mark.parametrize(
    ("deed", "before", "after"),
    [
        ("cancel", Status.QUEUED, Status.CANCELLED),
        ("cancel", Status.RUNNING, Status.CANCELLED),
        ("retry", Status.FAILED, Status.QUEUED),
        ("retry", Status.CANCELLED, Status.QUEUED),
    ],
)
@pytest.mark.parametrize("person", ["alice", "bob"])
def test_owner_and_staff_cancel_and_retry(
    request: pytest.FixtureRequest,
    alice: User,
    client_of: ClientOf,
    person: str,
    deed: str,
    before: Status,
    after: Status,
) -> None:
    client = client_of(request.getfixturevalue(person))
    job = make_job(make_upload(alice), before)
    response = client.post(f"/jobs/{job.pk}/{deed}/")
    assert (response.status_code, response["Location"], said(response)) == (302, f"/jobs/{job.pk}/", [])
    job.refresh_from_db()
    assert job.status == after
    other = make_job(make_upload(alice), before)
    response = client.post(f"/jobs/{other.pk}/{deed}/", headers=JSON)
    assert (response.status_code, response.json()["id"], response.json()["status"]) == (200, str(other.pk), after)


@pytest.mark.parametrize(
    ("deed", "status", "reason"),
    [
        (
            "cancel",
            Status.COMPLETED,
            "This job is completed and can't be cancelled. There is nothing left to cancel.",
        ),
        ("cancel", Status.FAILED, "This job is failed and can't be cancelled. There is nothing left to cancel."),
        (
            "retry",
            Status.COMPLETED,
            "This job is completed and can't be tried again. Only a failed or cancelled job can go on.",
        ),
        (
            "retry",
            Status.RUNNING,
            "This job is running and can't be tried again. Only a failed or cancelled job can go on.",
        ),
    ],
)
def test_says_why_a_job_can_not_be_changed(
    alice: User, client_of: ClientOf, deed: str, status: Status, reason: str
) -> None:
    job = make_job(make_upload(alice), status)
    before, client = state(), client_of(alice)
    response = client.post(f"/jobs/{job.pk}/{deed}/")
    assert (response.status_code, response["Location"], said(response)) == (302, f"/jobs/{job.pk}/", [reason])
    response = client.post(f"/jobs/{job.pk}/{deed}/", headers=JSON)
    assert (response.status_code, response.json()) == (409, {"error": reason})
    assert state() == before


def test_deletes_a_transcript_and_keeps_the_recording(alice: User, client_of: ClientOf, rows: Rows) -> None:
    other = make_job(rows.upload)
    make_segments(other, ["Stays."])
    response = client_of(alice).post(f"/jobs/{rows.job.pk}/delete/")
    assert (response.status_code, response["Location"]) == (302, f"/uploads/{rows.upload.pk}/")
    assert said(response) == ["The transcript of “alice.wav” was deleted. The recording is still there."]
    assert [*Job.objects.all()] == [other]
    assert [*Segment.objects.values_list("text", flat=True)] == ["Stays."]
    assert rows.upload.file.storage.exists(rows.upload.file.name)


def test_deletes_a_transcript_for_a_program(bob: User, client_of: ClientOf, rows: Rows) -> None:
    response = client_of(bob).post(f"/jobs/{rows.job.pk}/delete/", headers=JSON)
    assert (response.status_code, response.content) == (204, b"")
    assert not Job.objects.exists()
    assert client_of(bob).post(f"/jobs/{rows.job.pk}/delete/", headers=JSON).status_code == 404
