"""The page that lists a person's jobs."""

import pytest
from django.contrib.auth.models import User

from streaming.models import Status
from tests.streaming.factories import make_job, make_upload
from tests.streaming.pages import ClientOf
from tests.streaming.web.test_job_views import failed_job


def test_the_history_shows_the_users_own_jobs_newest_first(alice: User, bob: User, client_of: ClientOf) -> None:
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
def test_the_history_is_filtered_by_status_and_engine(
    alice: User, client_of: ClientOf, given: dict[str, str], shown: list[str]
) -> None:
    upload = make_upload(alice)
    make_job(upload, Status.RUNNING, engine="local")
    make_job(upload, Status.FAILED)
    make_job(upload, engine="local")
    response = client_of(alice).get("/jobs/", given)
    assert response.status_code == 200
    assert sorted(f"{job.status} {job.engine}" for job in response.context["page"]) == shown
