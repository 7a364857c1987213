"""The library's page: the recordings and jobs that it lists, and the job that a title opens."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django.fixtures import Settings

from streaming.models import Job, Status
from tests.streaming.factories import make_job, make_upload
from tests.streaming.pages import ClientOf
from tests.streaming.web.test_views import rows_of


def test_the_library_shows_the_users_own_recordings_newest_first_with_their_best_jobs(
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
    shown = [(upload, upload.best_job) for upload in response.context["page"]]
    assert shown == [(again, None), (done, last), (bare, None)]
    assert b"charlie.wav" not in response.content


@pytest.mark.parametrize(
    ("statuses", "best"),
    [
        ((Status.COMPLETED, Status.CANCELLED), 0),
        ((Status.COMPLETED, Status.COMPLETED, Status.FAILED), 1),
        ((Status.RUNNING, Status.COMPLETED), 0),
        ((Status.COMPLETED, Status.RUNNING, Status.QUEUED), 1),
        ((Status.FAILED, Status.CANCELLED), 1),
        ((Status.CANCELLED, Status.QUEUED), 1),
    ],
)
def test_a_recording_links_to_its_running_else_newest_completed_else_newest_job(
    alice: User, client_of: ClientOf, statuses: tuple[Status, ...], best: int
) -> None:
    upload, now = make_upload(alice), timezone.now()
    made = [
        make_job(upload, status, created_at=now - timedelta(hours=9 - number)) for number, status in enumerate(statuses)
    ]
    response = client_of(alice).get("/")
    assert [upload.best_job for upload in response.context["page"]] == [made[best]]
    assert f'class="name" href="{made[best].get_absolute_url()}"' in response.content.decode()


def test_the_library_starts_jobs_on_the_default_engine(alice: User, client_of: ClientOf, settings: Settings) -> None:
    settings.TRANSCRIBE_ENGINES = ["aws", "scripted"]
    settings.AWS_REGION = "eu-west-1"
    upload = make_upload(alice)
    assert client_of(alice).post(f"/uploads/{upload.pk}/jobs/", {"request_id": "one"}).status_code == 302
    job = Job.objects.get()
    assert (job.engine, job.language_code, job.options) == ("scripted", "en-US", {})


def test_the_library_links_to_the_recording_if_a_job_costs_money(
    alice: User, client_of: ClientOf, settings: Settings
) -> None:
    upload = make_upload(alice)
    start, lead = f'action="/uploads/{upload.pk}/jobs/"', f'href="/uploads/{upload.pk}/#transcribe"'
    content = client_of(alice).get("/").content.decode()
    assert (start in content, lead in content) == (True, False)
    settings.TRANSCRIBE_ENGINES = ["local", "scripted", "aws"]
    settings.TRANSCRIBE_DEFAULT_ENGINE = "aws"
    settings.AWS_REGION = "eu-west-1"
    content = client_of(alice).get("/").content.decode()
    assert (start in content, lead in content) == (False, True)
