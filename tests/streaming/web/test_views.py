"""Permissions on the site, and the pages of the library and of a recording."""

import re
import uuid
from typing import NamedTuple

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client
from pytest_django.fixtures import Settings

from streaming.models import Job, Status
from tests.streaming.factories import make_job, make_segments, make_staff, make_upload
from tests.streaming.pages import JSON, ClientOf, queries, said, state
from uploads.models import Upload
from uploads.samples import SAMPLE_NAME

# Addresses that only the owner of the rows may use. `{upload}` and `{job}` are the ids of the rows.
PAGES = ["/", "/uploads/{upload}/", "/jobs/", "/jobs/{job}/", "/jobs/{job}/transcript.txt"]
DEEDS = ["/sample/", "/uploads/{upload}/jobs/", "/jobs/{job}/cancel/", "/jobs/{job}/retry/", "/jobs/{job}/delete/"]


class Rows(NamedTuple):
    """A recording and its job, which failed in the middle, so that it can be retried, read and deleted."""

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


# Permissions


@pytest.mark.parametrize("headers", [{}, JSON])
@pytest.mark.parametrize("pattern", PAGES)
def test_who_is_not_signed_in_is_asked_to(client: Client, rows: Rows, pattern: str, headers: dict[str, str]) -> None:
    address = rows.address(pattern)
    assert_asks_to_sign_in(client.get(address, headers=headers), address, headers)


@pytest.mark.parametrize("headers", [{}, JSON])
@pytest.mark.parametrize("pattern", DEEDS)
def test_an_anonymous_post_changes_nothing(client: Client, rows: Rows, pattern: str, headers: dict[str, str]) -> None:
    before, address = state(), rows.address(pattern)
    assert_asks_to_sign_in(client.post(address, headers=headers), address, headers)
    assert state() == before


def assert_asks_to_sign_in(response: HttpResponse, address: str, headers: dict[str, str]) -> None:
    """A browser is redirected to the sign-in page; a program gets 401."""
    if headers == JSON:
        assert (response.status_code, response.json()) == (401, {"error": "You are signed out. Sign in and try again."})
    else:
        assert (response.status_code, response["Location"]) == (302, f"/accounts/login/?next={address}")


@pytest.mark.parametrize("headers", [{}, JSON])
@pytest.mark.parametrize("pattern", [pattern for pattern in [*PAGES, *DEEDS] if "{" in pattern])
def test_a_stranger_gets_404_for_recordings_and_jobs_of_others(
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
def test_an_invalid_id_is_not_found(alice: User, client_of: ClientOf, pattern: str, given: str) -> None:
    address = pattern.format(upload=given, job=given)
    client = client_of(alice)
    assert (client.get if pattern in PAGES else client.post)(address).status_code == 404


@pytest.mark.parametrize("pattern", [pattern for pattern in [*PAGES, *DEEDS] if "{" in pattern])
def test_an_unknown_id_is_not_found(alice: User, client_of: ClientOf, pattern: str) -> None:
    address = pattern.format(upload=uuid.uuid4(), job=uuid.uuid4())
    client = client_of(alice)
    assert (client.get if pattern in PAGES else client.post)(address).status_code == 404


@pytest.mark.parametrize("pattern", DEEDS)
def test_a_cross_site_form_changes_nothing(alice: User, rows: Rows, pattern: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    before = state()
    assert client.post(rows.address(pattern)).status_code == 403
    assert state() == before


@pytest.mark.parametrize("pattern", [pattern for pattern in PAGES if "{" in pattern])
def test_staff_see_recordings_and_jobs_of_others(bob: User, client_of: ClientOf, rows: Rows, pattern: str) -> None:
    assert client_of(bob).get(rows.address(pattern)).status_code == 200


@pytest.mark.parametrize("pattern", [pattern for pattern in DEEDS if "{" in pattern])
def test_staff_with_read_only_permission_change_nothing(client_of: ClientOf, rows: Rows, pattern: str) -> None:
    before = state()
    client = client_of(make_staff("dora", "view_upload", "view_job"))
    assert client.post(rows.address(pattern)).status_code == 403
    assert state() == before


@pytest.mark.parametrize("pattern", [pattern for pattern in [*PAGES, *DEEDS] if "{" in pattern])
def test_staff_without_view_permission_get_404(client_of: ClientOf, rows: Rows, pattern: str) -> None:
    client = client_of(make_staff("dora"))
    assert (client.get if pattern in PAGES else client.post)(rows.address(pattern)).status_code == 404


# Lists


def test_staff_see_only_their_own_recordings_in_the_library(bob: User, client_of: ClientOf, rows: Rows) -> None:
    assert [*client_of(bob).get("/").context["page"]] == []


@pytest.mark.parametrize("address", ["/", "/jobs/"])
@pytest.mark.parametrize(
    ("page", "number", "length"),
    [("", 1, 30), ("1", 1, 30), ("2", 2, 1), ("3", 2, 1), ("0", 2, 1), ("-1", 2, 1), ("x", 1, 30), ("9" * 30, 2, 1)],
)
def test_lists_have_pages_of_thirty_rows(
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


def test_a_user_adds_the_sample_to_the_library(alice: User, client_of: ClientOf) -> None:
    response = client_of(alice).post("/sample/")
    upload = Upload.objects.get()
    assert (response.status_code, response["Location"]) == (302, f"/uploads/{upload.pk}/")
    assert (upload.owner, upload.name, upload.container, upload.codec) == (alice, SAMPLE_NAME, "wav", "pcm_s16le")
    assert 44 < upload.duration < 45


def test_a_sample_above_the_size_limit_is_refused_with_a_reason(
    alice: User, client_of: ClientOf, settings: Settings
) -> None:
    settings.MAX_UPLOAD_BYTES = 1024**2
    reason = "This file is larger than the limit of 1 MB. A compressed copy (M4A, MP3, OGG) may fit."
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


def test_a_recording_page_offers_staff_only_permitted_actions(bob: User, client_of: ClientOf, rows: Rows) -> None:
    address = rows.upload.get_absolute_url()
    context = client_of(bob).get(address).context
    assert (context["can_start"], context["can_change"]) == (True, True)
    context = client_of(make_staff("dora", "view_upload", "view_job")).get(address).context
    assert (context["can_start"], context["can_change"]) == (False, False)


def test_a_recording_page_shows_the_time_and_price_of_each_engine(
    alice: User, client_of: ClientOf, settings: Settings
) -> None:
    settings.TRANSCRIBE_ENGINES = ["local", "scripted", "aws"]
    settings.AWS_REGION = "eu-west-1"
    for duration, quote in (
        (720.4, "Takes about 12 min · about $0.29 · audio is sent to Amazon Transcribe in eu-west-1"),
        (3.0, "Takes a few seconds · less than $0.01 · audio is sent to Amazon Transcribe in eu-west-1"),
        (4800.0, "Takes about 1 h 20 min · about $1.92 · audio is sent to Amazon Transcribe in eu-west-1"),
        (36000.0, "Takes about 10 h · about $14.40 · audio is sent to Amazon Transcribe in eu-west-1"),
    ):
        upload = make_upload(alice, duration=duration)
        content = client_of(alice).get(upload.get_absolute_url()).content.decode()
        quotes = re.findall(
            r'<p class="quote[^>]* data-engine="(\w+)"><span class="whose">With Amazon Transcribe: </span>(.*?)</p>',
            content,
        )
        assert quotes == [("aws", quote)]
