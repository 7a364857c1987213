"""Starting a job over HTTP: the answers as HTML and as JSON, and the refusals."""

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from streaming.engines.aws.engine import AwsEngine
from streaming.engines.moonshine.engine import LocalEngine
from streaming.models import Job
from tests.streaming.factories import make_job, make_upload
from tests.streaming.pages import JSON, ClientOf


def test_a_start_redirects_to_the_page_of_the_new_job(alice: User, client_of: ClientOf) -> None:
    upload = make_upload(alice, duration=12.5)
    response = client_of(alice).post(reverse("job-create", args=[upload.pk]), {"engine": "local"})
    job = Job.objects.get()
    assert (response.status_code, response["Location"]) == (302, f"/jobs/{job.pk}/")
    assert (job.upload, job.owner, job.engine, job.language_code) == (upload, alice, "local", "en-US")
    assert (job.status, job.duration, job.attempt) == ("queued", 12.5, 0)


def test_a_start_answers_a_json_client_with_the_new_job(alice: User, client_of: ClientOf) -> None:
    address = reverse("job-create", args=[make_upload(alice).pk])
    response = client_of(alice).post(address, {"engine": "scripted", "language_code": "de-DE"}, headers=JSON)
    job = Job.objects.get()
    assert response.status_code == 201
    assert response.json() == {"id": str(job.pk), "url": f"/jobs/{job.pk}/", "status": "queued"}
    assert (job.engine, job.language_code) == ("scripted", "de-DE")


def test_a_repeated_request_id_returns_the_same_job(alice: User, client_of: ClientOf) -> None:
    address = reverse("job-create", args=[make_upload(alice).pk])
    client, given = client_of(alice), {"request_id": "once"}
    first = client.post(address, given, headers=JSON)
    second = client.post(address, given, headers=JSON)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert client.post(address, given)["Location"] == first.json()["url"]
    assert Job.objects.count() == 1
    assert client.post(address, {"request_id": "another"}, headers=JSON).status_code == 201


def test_the_same_request_id_of_another_user_starts_another_job(
    alice: User, charlie: User, client_of: ClientOf
) -> None:
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
            "The engine “Scripted” does not support the language “tlh”. Choose one of: en-US, de-DE.",
        ),
        (
            {"engine": "local", "language_code": "de-DE"},
            f"The engine “{LocalEngine.label}” does not support the language “de-DE”. "
            "Choose one of: en-US, en-GB, en-AU.",
        ),
        ({"request_id": "r" * 101}, "Ensure this value has at most 100 characters (it has 101)."),
        ({"request_id": "\x00"}, "Null characters are not allowed."),
        ({"request_id": "of another"}, "This request_id was already used for another recording."),
    ],
)
def test_shows_why_a_job_can_not_be_started(
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


def test_a_body_that_is_not_a_form_starts_a_job_with_the_defaults(alice: User, client_of: ClientOf) -> None:
    address = reverse("job-create", args=[make_upload(alice).pk])
    response = client_of(alice).post(address, b"\xff\x00{", content_type="application/json", headers=JSON)
    assert response.status_code == 201
    assert Job.objects.get().engine == "scripted"


def test_starts_a_job_with_options(with_aws: None, alice: User, client_of: ClientOf) -> None:
    address = reverse("job-create", args=[make_upload(alice).pk])
    given = {"engine": "aws", "language_code": "de-DE", "show_speaker_label": "on", "vocabulary_name": "surgery"}
    assert client_of(alice).post(address, given | {"partial_results_stability": ""}).status_code == 302
    job = Job.objects.get()
    assert (job.engine, job.language_code) == ("aws", "de-DE")
    assert job.options == {"show_speaker_label": True, "vocabulary_name": "surgery"}


def test_starts_a_job_that_detects_its_language(with_aws: None, alice: User, client_of: ClientOf) -> None:
    address = reverse("job-create", args=[make_upload(alice).pk])
    given = {"engine": "aws", "identify_language": "on", "language_options": ["en-US", "de-DE"]}
    assert client_of(alice).post(address, given, headers=JSON).status_code == 201
    job = Job.objects.get()
    assert job.language_code == ""
    assert job.options == {"identify_language": True, "language_options": ["en-US", "de-DE"]}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (
            {"enable_channel_identification": "on"},
            "Channels can be transcribed separately only in a stereo recording. This one has one channel.",
        ),
        (
            {"partial_results_stability": "rocky"},
            "Stability: Select a valid choice. rocky is not one of the available choices.",
        ),
    ],
)
def test_shows_at_the_options_why_they_are_refused(
    with_aws: None, alice: User, client_of: ClientOf, given: dict[str, str], reason: str
) -> None:
    address = reverse("job-create", args=[make_upload(alice).pk])
    client = client_of(alice)
    response = client.post(address, given | {"engine": "aws"}, headers=JSON)
    assert (response.status_code, response.json()) == (400, {"error": reason})
    response = client.post(address, given | {"engine": "aws"})
    assert response.status_code == 400
    options = response.content.decode().partition('<details class="more" data-engine="aws" open>')[2]
    assert reason.rpartition(": ")[2] in options.partition("</details>")[0]
    assert not Job.objects.exists()


def test_starting_an_unconfigured_engine_shows_what_is_missing(
    with_aws: None, alice: User, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AwsEngine, "missing", classmethod(lambda cls: "Set AWS_REGION."))
    address = reverse("job-create", args=[make_upload(alice).pk])
    response = client_of(alice).post(address, {"engine": "aws"}, headers=JSON)
    assert (response.status_code, response.json()) == (400, {"error": "Set AWS_REGION."})
    assert not Job.objects.exists()
