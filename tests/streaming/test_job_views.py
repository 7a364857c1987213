"""Jobs on the site: started, looked at, cancelled, tried again and deleted."""

import re

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from pytest_django.fixtures import Settings

from streaming.engines.aws import AwsEngine
from streaming.engines.local import LocalEngine
from streaming.models import Job, Segment, Status
from tests.streaming.answers import JSON, ClientOf, queries, said, state
from tests.streaming.factories import make_job, make_segments, make_staff, make_upload


def failed_job(owner: User) -> Job:
    """Return a job that failed in the middle, so that it can be read, retried and deleted."""
    job = make_job(make_upload(owner, name=f"{owner.username}.wav"), Status.FAILED)
    make_segments(job, ["It was the best of times,", "it was the worst of times."])
    return job


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


@pytest.fixture
def with_aws(settings: Settings) -> None:
    """A site that is set up for Amazon Transcribe."""
    settings.TRANSCRIBE_ENGINES = ["local", "scripted", "aws"]
    settings.AWS_REGION = "eu-west-1"


def test_starts_a_job_with_options(with_aws: None, alice: User, client_of: ClientOf) -> None:
    address = reverse("job-create", args=[make_upload(alice).pk])
    given = {"engine": "aws", "language_code": "de-DE", "show_speaker_label": "on", "vocabulary_name": "surgery"}
    assert client_of(alice).post(address, given | {"partial_results_stability": ""}).status_code == 302
    job = Job.objects.get()
    assert (job.engine, job.language_code) == ("aws", "de-DE")
    assert job.options == {"show_speaker_label": True, "vocabulary_name": "surgery"}


def test_starts_a_job_whose_language_is_to_be_found_out(with_aws: None, alice: User, client_of: ClientOf) -> None:
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
            "Channels can be told apart only in a stereo recording, and this one has one channel.",
        ),
        (
            {"partial_results_stability": "rocky"},
            "How soon: Select a valid choice. rocky is not one of the available choices.",
        ),
    ],
)
def test_says_at_the_options_why_they_can_not_be(
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


def test_an_engine_that_is_not_set_up_says_what_is_missing(
    with_aws: None, alice: User, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AwsEngine, "missing", classmethod(lambda cls: "Set AWS_REGION."))
    address = reverse("job-create", args=[make_upload(alice).pk])
    response = client_of(alice).post(address, {"engine": "aws"}, headers=JSON)
    assert (response.status_code, response.json()) == (400, {"error": "Set AWS_REGION."})
    assert not Job.objects.exists()


# The history


def test_the_history_shows_ones_own_jobs_newest_first(alice: User, bob: User, client_of: ClientOf) -> None:
    job = failed_job(alice)
    newer = make_job(job.upload, Status.RUNNING)
    theirs = failed_job(bob)
    response = client_of(alice).get("/jobs/")
    assert [*response.context["page"]] == [newer, job]
    assert response.context["is_narrowed"] is False
    assert b"bob.wav" not in response.content
    assert [*client_of(bob).get("/jobs/").context["page"]] == [theirs]


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


def test_a_job_shows_its_transcript_and_what_the_page_goes_on_with(alice: User, client_of: ClientOf) -> None:
    job = failed_job(alice)
    context = client_of(alice).get(job.get_absolute_url()).context
    assert (context["job"], context["upload"], context["seq"], context["can_change"]) == (
        job,
        job.upload,
        2,
        True,
    )
    assert [segment.text for segment in context["segments"]] == [
        "It was the best of times,",
        "it was the worst of times.",
    ]
    assert context["socket_path"] == f"/ws/jobs/{job.pk}/"
    assert context["formats"] == [("txt", "Text"), ("srt", "SRT"), ("vtt", "VTT"), ("json", "JSON")]
    assert context["job_data"] == {
        "id": str(job.pk),
        "upload": str(job.upload.pk),
        "engine": "scripted",
        "language_code": "en-US",
        "status": "failed",
        "position": 0.0,
        "duration": 1.0,
        "failure_reason": "The recogniser ended unexpectedly.",
        "segments": 2,
        "created_at": job.created_at.isoformat(),
        "started_at": job.started_at.isoformat(),
        "finished_at": job.finished_at.isoformat(),
    }


def test_a_job_that_waits_says_for_what_and_without_alarm(alice: User, client_of: ClientOf) -> None:
    reason = "Waiting for a free Amazon Transcribe stream."
    job = make_job(make_upload(alice), Status.QUEUED, failure_reason=reason)
    content = client_of(alice).get(job.get_absolute_url()).content.decode()
    assert f'<span class="detail quiet figures">{reason}</span>' in content
    assert '<p class="note bad" data-for="failed" hidden>' in content
    job = make_job(make_upload(alice), Status.QUEUED)
    assert "2 of 2 in the queue" in client_of(alice).get(job.get_absolute_url()).content.decode()


def lines(content: bytes) -> list[str]:
    """Return the segments of a page as they are marked up, from their words on."""
    return re.findall(r'<p class="segment".*?</a>(.*?)</p>', content.decode())


def test_a_job_tells_its_options_its_voices_its_languages_and_what_is_unconfirmed(
    with_aws: None, alice: User, client_of: ClientOf
) -> None:
    options = {"enable_channel_identification": True, "partial_results_stability": "low", "banana": 1}
    job = make_job(make_upload(alice, channels=2), engine="aws", language_code="", options=options)
    make_segments(job, ["Hello.", "Hello & goodbye."], channel="ch_0", language_code="en-US")
    make_segments(job, ["Guten Tag."], channel="ch_1", language_code="de-DE", is_provisional=True)
    make_segments(job, ["Well."], speaker="Speaker 1")
    content = client_of(alice).get(job.get_absolute_url()).content
    assert b'<p class="quiet asked">Channels told apart, how soon: a little sooner</p>' in content
    unconfirmed = (
        '<small class="tag unconfirmed" title="The engine ended before it confirmed these words.">unconfirmed</small>'
    )
    assert lines(content) == [
        '<b class="speaker">Channel 1</b><span class="text">Hello.</span><small class="tag language">en-US</small>',
        '<b class="speaker">Channel 1</b><span class="text">Hello &amp; goodbye.</span>',
        '<b class="speaker">Channel 2</b><span class="text">Guten Tag.</span><small class="tag language">de-DE</small>'
        + unconfirmed,
        '<b class="speaker">Speaker 1</b><span class="text">Well.</span>',
    ]


def test_a_job_without_options_says_nothing_of_them(with_aws: None, alice: User, client_of: ClientOf) -> None:
    job = make_job(make_upload(alice), engine="aws", options={"show_speaker_label": False})
    make_segments(job, ["Hello."], language_code="en-US")
    content = client_of(alice).get(job.get_absolute_url()).content
    assert b'class="quiet asked"' not in content
    assert lines(content) == ['<span class="text">Hello.</span>']


def word(text: str, **marks: object) -> dict[str, object]:
    return {"text": text, "start_time": 0.0, "end_time": 1.0, **marks}


def test_personal_data_is_marked_where_a_job_looks_for_it(with_aws: None, alice: User, client_of: ClientOf) -> None:
    text = "I am <b>Anna</b> Schmidt, of the Schmidts: 555 0100."
    words = [
        *[word("I"), word("am"), word("<b>Anna</b>", pii="NAME"), word("Schmidt,", pii="NAME"), word("of")],
        *[word("missing"), word("the"), word("Schmidts:", vocabulary_filter_match=True)],
        *[word("555", pii="CREDIT_DEBIT_NUMBER"), word("0100.", pii="CREDIT_DEBIT_NUMBER")],
    ]
    client, shown = client_of(alice), {}
    for name, options in (("marked", {"content_identification_type": "PII"}), ("plain", {"show_speaker_label": True})):
        job = make_job(make_upload(alice), engine="aws", options=options)
        make_segments(job, [text], words=words)
        shown[name] = lines(client.get(job.get_absolute_url()).content)
    plain = "I am &lt;b&gt;Anna&lt;/b&gt; Schmidt, of the Schmidts: 555 0100."
    assert shown["plain"] == [f'<span class="text">{plain}</span>']
    assert shown["marked"] == [
        '<span class="text">I am <mark class="pii" title="Name">&lt;b&gt;Anna&lt;/b&gt; Schmidt</mark>, of the '
        '<mark class="filtered" title="In the vocabulary filter">Schmidts</mark>: '
        '<mark class="pii" title="Credit debit number">555 0100</mark>.</span>'
    ]


@pytest.mark.parametrize("options", [{}, {"content_identification_type": "PII"}])
def test_marks_take_no_queries_of_their_own(
    with_aws: None, alice: User, client_of: ClientOf, options: dict[str, str]
) -> None:
    client, job = client_of(alice), make_job(make_upload(alice), engine="aws", options=options)
    make_segments(job, ["Hello."])
    few = queries(client, job.get_absolute_url())
    make_segments(job, ["Hello."] * 30)
    assert queries(client, job.get_absolute_url()) == few


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


def test_staff_who_may_only_look_are_offered_no_change(alice: User, client_of: ClientOf) -> None:
    job = failed_job(alice)
    person = make_staff("dora", "view_upload", "view_job")
    assert client_of(person).get(job.get_absolute_url()).context["can_change"] is False


@pytest.mark.parametrize("format", ["exe", "TXT", "txt.exe", "json\x00", "%2e"])
def test_a_format_that_is_not_known_is_not_found(alice: User, client_of: ClientOf, format: str) -> None:
    job = failed_job(alice)
    assert client_of(alice).get(f"/jobs/{job.pk}/transcript.{format}").status_code == 404


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


def test_deletes_a_transcript_and_keeps_the_recording(alice: User, client_of: ClientOf) -> None:
    job = failed_job(alice)
    other = make_job(job.upload)
    make_segments(other, ["Stays."])
    response = client_of(alice).post(f"/jobs/{job.pk}/delete/")
    assert (response.status_code, response["Location"]) == (302, f"/uploads/{job.upload.pk}/")
    assert said(response) == ["The transcript of “alice.wav” was deleted. The recording is still there."]
    assert [*Job.objects.all()] == [other]
    assert [*Segment.objects.values_list("text", flat=True)] == ["Stays."]
    assert job.upload.file.storage.exists(job.upload.file.name)


def test_deletes_a_transcript_for_a_program(alice: User, bob: User, client_of: ClientOf) -> None:
    job = failed_job(alice)
    response = client_of(bob).post(f"/jobs/{job.pk}/delete/", headers=JSON)
    assert (response.status_code, response.content) == (204, b"")
    assert not Job.objects.exists()
    assert client_of(bob).post(f"/jobs/{job.pk}/delete/", headers=JSON).status_code == 404
