"""Deletions in the admin: the rows that are deleted too, the messages to viewers, and the confirmation page."""

import asyncio
import re
from collections.abc import Callable

import pytest
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.contrib.auth.models import User
from django.db.models import Model
from django.http import HttpResponse
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks

from streaming import publisher
from streaming.models import Job, Segment, Status
from tests.streaming.factories import make_job, make_segments, make_staff, make_upload
from tests.streaming.pages import JOBS, PEOPLE, UPLOADS, ClientOf, act
from uploads.models import Upload


class Listener:
    """A subscriber on the channel layer. Receives the events of jobs, as the feeds of another process would."""

    def __init__(self, *jobs: Job) -> None:
        self._layer = get_channel_layer()
        self._channel = async_to_sync(self._layer.new_channel)()
        for job in jobs:
            async_to_sync(self._layer.group_add)(publisher.feed_group(job.pk), self._channel)

    def next(self) -> tuple[str, str]:
        """Return the id of the job (hexadecimal) and the text of the next event."""

        async def receive() -> dict[str, str]:
            async with asyncio.timeout(5):  # the event was sent before, so it is here at once or never
                message: dict[str, str] = await self._layer.receive(self._channel)
                return message

        message = async_to_sync(receive)()
        return message["job"], message["text"]


Delete = Callable[[Client, str, Model], None]


@pytest.fixture(params=["page", "action"])
def delete(
    request: pytest.FixtureRequest, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> Delete:
    """Deletes a row in the admin: on the page for it, or by the action of the list at `address`."""

    def delete(client: Client, address: str, row: Model) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            if request.param == "page":
                response = client.post(f"{address}{row.pk}/delete/", {"post": "yes"})
            else:
                response = act(client, address, "delete_selected", row, post="yes")
        assert response.status_code == 302

    return delete


GONE = '{"type":"error","code":"not_found","message":"This job was deleted."}'


def test_deleting_a_job_in_the_admin_deletes_its_transcript_and_notifies_viewers(
    alice: User, bob: User, client_of: ClientOf, delete: Delete
) -> None:
    client, upload = client_of(bob), make_upload(alice)
    job, other = make_job(upload, Status.RUNNING), make_job(upload)
    make_segments(job, ["Goes."])
    make_segments(other, ["Stays."])
    listener = Listener(job, other)
    delete(client, JOBS, job)
    assert [*Job.objects.all()] == [other]
    assert [*Segment.objects.values_list("text", flat=True)] == ["Stays."]
    assert Upload.objects.get().file.storage.exists(upload.file.name)
    assert listener.next() == (job.pk.hex, GONE)


def test_deleting_a_recording_in_the_admin_deletes_its_file_and_jobs_and_notifies_viewers(
    alice: User, bob: User, client_of: ClientOf, delete: Delete
) -> None:
    client, upload, other = client_of(bob), make_upload(alice), make_upload(alice)
    jobs = [make_job(upload, Status.RUNNING), make_job(upload), make_job(other)]
    listener = Listener(*jobs)
    delete(client, UPLOADS, upload)
    assert [*Upload.objects.all()] == [other]
    assert [*Job.objects.all()] == [jobs[2]]
    storage = upload.file.storage
    assert (storage.exists(upload.file.name), storage.exists(other.file.name)) == (False, True)
    assert {listener.next(), listener.next()} == {(jobs[0].pk.hex, GONE), (jobs[1].pk.hex, GONE)}


def test_staff_who_may_not_delete_jobs_can_not_delete_their_recording(alice: User, client_of: ClientOf) -> None:
    upload = make_upload(alice)
    make_job(upload)
    client = client_of(make_staff("dora", "view_upload", "delete_upload", "view_job"))
    assert client.post(f"{UPLOADS}{upload.pk}/delete/", {"post": "yes"}).status_code == 403
    act(client, UPLOADS, "delete_selected", upload, post="yes")
    assert [*Upload.objects.all()] == [upload]


def test_deleting_an_account_deletes_its_files(alice: User, bob: User, client_of: ClientOf, delete: Delete) -> None:
    client = client_of(User.objects.create_superuser("root"))
    hers, his = make_upload(alice), make_upload(bob)
    job = make_job(hers, Status.RUNNING)
    listener = Listener(job)
    delete(client, PEOPLE, alice)
    assert sorted(User.objects.values_list("username", flat=True)) == ["bob", "root"]
    assert [*Upload.objects.all()] == [his]
    storage = hers.file.storage
    assert (storage.exists(hers.file.name), storage.exists(his.file.name)) == (False, True)
    assert listener.next() == (job.pk.hex, GONE)


def test_staff_who_may_not_delete_recordings_can_not_delete_their_owner(alice: User, client_of: ClientOf) -> None:
    make_upload(alice)
    client = client_of(make_staff("dora", "view_user", "delete_user"))
    assert client.post(f"{PEOPLE}{alice.pk}/delete/", {"post": "yes"}).status_code == 403
    assert User.objects.filter(pk=alice.pk).exists()


def test_the_delete_confirmation_counts_segments_without_listing_them(alice: User, client_of: ClientOf) -> None:
    client = client_of(User.objects.create_superuser("root"))
    upload = make_upload(alice, name="<b>talk</b>.wav")
    job = make_job(upload)
    make_segments(job, ["Secret words."] * 3)

    def summary(response: HttpResponse) -> list[str]:
        content = response.content.decode()
        assert response.status_code == 200
        assert "Secret words" not in content
        assert "<b>talk" not in content
        return re.findall(r"<li>([^<]*?)</li>", content[content.index("<h2>Summary") :])

    expected = ["Jobs: 1", "Segments: 3", "&lt;b&gt;talk&lt;/b&gt;.wav (scripted)"]
    assert summary(client.get(f"{JOBS}{job.pk}/delete/")) == expected
    assert summary(act(client, JOBS, "delete_selected", job)) == expected
    expected = ["Recordings: 1", "Jobs: 1", "&lt;b&gt;talk&lt;/b&gt;.wav"]
    assert summary(client.get(f"{UPLOADS}{upload.pk}/delete/")) == expected
    assert summary(act(client, UPLOADS, "delete_selected", upload)) == expected
    expected = ["People: 1", "Recordings: 1", "Jobs: 1", "alice"]
    assert summary(client.get(f"{PEOPLE}{alice.pk}/delete/")) == expected
    assert summary(act(client, PEOPLE, "delete_selected", alice)) == expected
