"""The views of a job: its page, its transcript, cancel, retry and delete."""

import re

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from streaming.jobs import lifecycle
from streaming.models import Job, Segment, Status
from tests.streaming.factories import make_job, make_segments, make_staff, make_upload
from tests.streaming.pages import JSON, ClientOf, queries, said, state


def failed_job(owner: User) -> Job:
    """Store a job that failed in the middle, so that it can be read, retried and deleted."""
    job = make_job(make_upload(owner, name=f"{owner.username}.wav"), Status.FAILED)
    make_segments(job, ["It was the best of times,", "it was the worst of times."])
    return job


# The job's page


def test_a_job_page_has_the_transcript_and_the_data_for_the_socket(alice: User, client_of: ClientOf) -> None:
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
        "can_retry": True,
        "took": 10.0,
        "created_at": job.created_at.isoformat(),
        "started_at": job.started_at.isoformat(),
        "finished_at": job.finished_at.isoformat(),
    }


def test_a_queued_job_page_shows_the_reason_of_its_wait_without_an_alert(alice: User, client_of: ClientOf) -> None:
    reason = "Waiting for a free Amazon Transcribe stream."
    job = make_job(make_upload(alice), Status.QUEUED, failure_reason=reason)
    content = client_of(alice).get(job.get_absolute_url()).content.decode()
    assert f'<span class="detail quiet figures">{reason}</span>' in content
    assert '<p class="note bad" data-for="failed" hidden>' in content
    job = make_job(make_upload(alice), Status.QUEUED)
    assert "2 of 2 in the queue" in client_of(alice).get(job.get_absolute_url()).content.decode()


@pytest.mark.parametrize("reason", ["Something went wrong.", lifecycle.LOST, lifecycle.TOO_LONG])
@pytest.mark.parametrize(
    ("segments", "is_final", "kept"),
    [
        (2, False, "The first 2 lines are saved. Resume to continue from there."),
        (1, True, "The first line is saved."),
        (0, False, "Resume to try again."),
        (0, True, ""),
    ],
)
def test_a_failed_job_page_says_once_what_is_saved_and_whether_to_resume(
    alice: User, client_of: ClientOf, reason: str, segments: int, is_final: bool, kept: str
) -> None:
    job = make_job(make_upload(alice), Status.FAILED, failure_reason=reason, is_final=is_final)
    make_segments(job, ["Well."] * segments)
    content = client_of(alice).get(job.get_absolute_url()).content.decode()
    (note,) = re.findall(r'<p class="note bad" data-for="failed">(.*?)</p>', content)
    assert " ".join(re.sub("<.*?>", "", note).split()) == f"{reason} {kept}".strip()
    assert content.count("Nothing was transcribed.") == 1, "below the transcript, hidden if there is one"


def lines(content: bytes) -> list[str]:
    """Return the markup of each segment of a page after its time."""
    return re.findall(r'<p class="segment".*?</a>(.*?)</p>', content.decode())


def test_a_job_page_shows_options_speakers_languages_and_provisional_segments(
    with_aws: None, alice: User, client_of: ClientOf
) -> None:
    options = {"enable_channel_identification": True, "partial_results_stability": "low", "banana": 1}
    job = make_job(make_upload(alice, channels=2), engine="aws", language_code="", options=options)
    make_segments(job, ["Hello.", "Hello & goodbye."], channel="ch_0", language_code="en-US")
    make_segments(job, ["Guten Tag."], channel="ch_1", language_code="de-DE", is_provisional=True)
    make_segments(job, ["Well."], speaker="Speaker 1")
    content = client_of(alice).get(job.get_absolute_url()).content
    assert b'<p class="quiet asked">Transcribe channels separately, stability: low</p>' in content
    unconfirmed = (
        '<small class="tag unconfirmed" title="The engine stopped before finalising this line.">not final</small>'
    )
    assert lines(content) == [
        '<b class="speaker">Channel 1</b><span class="text">Hello.</span><small class="tag language">en-US</small>',
        '<b class="speaker">Channel 1</b><span class="text">Hello &amp; goodbye.</span>',
        '<b class="speaker">Channel 2</b><span class="text">Guten Tag.</span><small class="tag language">de-DE</small>'
        + unconfirmed,
        '<b class="speaker">Speaker 1</b><span class="text">Well.</span>',
    ]


def test_a_job_page_without_options_shows_none(with_aws: None, alice: User, client_of: ClientOf) -> None:
    job = make_job(make_upload(alice), engine="aws", options={"show_speaker_label": False})
    make_segments(job, ["Hello."], language_code="en-US")
    content = client_of(alice).get(job.get_absolute_url()).content
    assert b'class="quiet asked"' not in content
    assert lines(content) == ['<span class="text">Hello.</span>']


def word(text: str, **marks: object) -> dict[str, object]:
    return {"text": text, "start_time": 0.0, "end_time": 1.0, **marks}


def test_a_job_page_marks_personal_data_if_the_job_looks_for_it(
    with_aws: None, alice: User, client_of: ClientOf
) -> None:
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
def test_marking_words_adds_no_queries(
    with_aws: None, alice: User, client_of: ClientOf, options: dict[str, str]
) -> None:
    client, job = client_of(alice), make_job(make_upload(alice), engine="aws", options=options)
    make_segments(job, ["Hello."])
    few = queries(client, job.get_absolute_url())
    make_segments(job, ["Hello."] * 30)
    assert queries(client, job.get_absolute_url()) == few


@pytest.mark.parametrize("status", Status)
def test_a_job_has_a_page_in_every_status_with_and_without_text(
    alice: User, client_of: ClientOf, status: Status
) -> None:
    client, job = client_of(alice), make_job(make_upload(alice), status)
    response = client.get(job.get_absolute_url())
    assert (response.status_code, response.context["seq"]) == (200, 0)
    make_segments(job, ["Hello."])
    response = client.get(job.get_absolute_url())
    assert (response.status_code, response.context["seq"]) == (200, 1)


def test_a_job_page_escapes_transcript_names_and_speakers(alice: User, client_of: ClientOf) -> None:
    name = "<img src=x>.wav"
    job = make_job(make_upload(alice, name=name), Status.FAILED, failure_reason="<i>bad</i>")
    make_segments(job, ["</script><script>alert(1)</script>"], speaker="<b>Ann</b>")
    client = client_of(alice)
    for address in ("/", "/jobs/", job.upload.get_absolute_url(), job.get_absolute_url()):
        content = client.get(address).content
        assert b"&lt;img src=x&gt;.wav" in content
        for markup in (b"<img src=x>", b"<i>bad", b"<script>alert", b"<b>Ann"):
            assert markup not in content


def test_a_job_page_offers_no_action_to_staff_with_read_only_permission(alice: User, client_of: ClientOf) -> None:
    job = failed_job(alice)
    person = make_staff("dora", "view_upload", "view_job")
    assert client_of(person).get(job.get_absolute_url()).context["can_change"] is False


@pytest.mark.parametrize("format", ["exe", "TXT", "txt.exe", "json\x00", "%2e"])
def test_an_unknown_download_format_is_not_found(alice: User, client_of: ClientOf, format: str) -> None:
    job = failed_job(alice)
    assert client_of(alice).get(f"/jobs/{job.pk}/transcript.{format}").status_code == 404


def test_a_running_job_offers_its_partial_transcript_as_a_file(alice: User, client_of: ClientOf) -> None:
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
        ("cancel", Status.COMPLETED, "This job has already finished."),
        ("cancel", Status.FAILED, "This job has already finished."),
        ("retry", Status.COMPLETED, "Only failed or cancelled jobs can be resumed, unless they would fail again."),
        ("retry", Status.RUNNING, "Only failed or cancelled jobs can be resumed, unless they would fail again."),
    ],
)
def test_shows_why_a_job_can_not_be_cancelled_or_retried(
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
    assert said(response) == ["Deleted the transcript of alice.wav. The recording is kept."]
    assert [*Job.objects.all()] == [other]
    assert [*Segment.objects.values_list("text", flat=True)] == ["Stays."]
    assert job.upload.file.storage.exists(job.upload.file.name)


def test_a_json_client_deletes_a_transcript(alice: User, bob: User, client_of: ClientOf) -> None:
    job = failed_job(alice)
    response = client_of(bob).post(f"/jobs/{job.pk}/delete/", headers=JSON)
    assert (response.status_code, response.content) == (204, b"")
    assert not Job.objects.exists()
    assert client_of(bob).post(f"/jobs/{job.pk}/delete/", headers=JSON).status_code == 404
