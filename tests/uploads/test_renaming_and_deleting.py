"""The views that rename and delete a recording: permissions, and answers for browsers and for programs."""

import re
import uuid
from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoCaptureOnCommitCallbacks

from tests.uploads.conftest import messages_of
from uploads.models import Upload

Stored = Callable[..., Upload]
ClientOf = Callable[[User], Client]
JSON = {"Accept": "application/json"}


def test_an_owner_can_rename_a_recording(stored: Stored, alice: User, client_of: ClientOf) -> None:
    upload = stored()
    response = client_of(alice).post(reverse("upload-rename", args=[upload.pk]), {"name": "Talk.wav"})
    assert (response.status_code, response.url) == (302, f"/uploads/{upload.pk}/")
    assert messages_of(response) == ["Renamed to Talk.wav."]
    upload.refresh_from_db()
    assert upload.name == "Talk.wav"


def test_a_program_can_rename_a_recording(stored: Stored, alice: User, client_of: ClientOf) -> None:
    upload = stored()
    address = reverse("upload-rename", args=[upload.pk])
    response = client_of(alice).post(address, {"name": "Talk.wav"}, headers=JSON)
    assert response.status_code == 200
    assert response.json() == {"id": str(upload.pk), "url": f"/uploads/{upload.pk}/", "name": "Talk.wav"}
    for data in ({"name": " "}, {}):
        response = client_of(alice).post(address, data, headers=JSON)
        assert (response.status_code, response.json()) == (400, {"error": "A recording needs a name."})
        response = client_of(alice).post(address, data)
        assert (response.status_code, response.url) == (302, f"/uploads/{upload.pk}/")
    upload.refresh_from_db()
    assert upload.name == "Talk.wav"


def test_an_owner_can_delete_a_recording(
    stored: Stored,
    alice: User,
    client_of: ClientOf,
    files: Callable[[], list[str]],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    kept, upload = stored(), stored()
    with django_capture_on_commit_callbacks(execute=True):
        response = client_of(alice).post(reverse("upload-delete", args=[upload.pk]))
    assert (response.status_code, response.url) == (302, reverse("library"))
    assert messages_of(response) == ["Deleted interview.wav and its transcripts."]
    assert list(Upload.objects.all()) == [kept]
    assert files() == [str(kept.pk)]


def test_a_program_can_delete_a_recording(stored: Stored, alice: User, client_of: ClientOf) -> None:
    upload = stored()
    address = reverse("upload-delete", args=[upload.pk])
    response = client_of(alice).post(address, headers=JSON)
    assert (response.status_code, response.content) == (204, b"")
    assert client_of(alice).post(address, headers=JSON).status_code == 404


CHANGES = [("upload-rename", {"name": "Mine now.wav"}), ("upload-delete", {})]


@pytest.mark.parametrize(("view", "data"), CHANGES)
def test_staff_with_permission_can_rename_and_delete_recordings_of_others(
    stored: Stored, bob: User, client_of: ClientOf, view: str, data: dict[str, str]
) -> None:
    upload = stored()
    assert client_of(bob).post(reverse(view, args=[upload.pk]), data).status_code == 302
    assert not Upload.objects.filter(name="interview.wav").exists()


@pytest.mark.parametrize(("view", "data"), CHANGES)
def test_staff_with_view_permission_only_cannot_rename_or_delete(
    stored: Stored, bob: User, client_of: ClientOf, view: str, data: dict[str, str]
) -> None:
    bob.user_permissions.set(Permission.objects.filter(codename="view_upload"))
    upload = stored()
    assert client_of(bob).post(reverse(view, args=[upload.pk]), data).status_code == 403
    assert Upload.objects.get().name == "interview.wav"


@pytest.mark.parametrize(("view", "data"), CHANGES)
def test_staff_without_view_permission_get_404_for_recordings_of_others(
    stored: Stored, bob: User, client_of: ClientOf, view: str, data: dict[str, str]
) -> None:
    bob.user_permissions.set(Permission.objects.filter(codename__in=["change_upload", "delete_upload"]))
    upload = stored()
    assert client_of(bob).post(reverse(view, args=[upload.pk]), data).status_code == 404
    assert Upload.objects.get().name == "interview.wav"


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
@pytest.mark.parametrize(("view", "data"), CHANGES)
def test_a_stranger_gets_the_same_404_for_an_existing_and_a_missing_recording(
    stored: Stored, charlie: User, client_of: ClientOf, view: str, data: dict[str, str], accept: str
) -> None:
    upload = stored()
    strange = client_of(charlie).post(reverse(view, args=[upload.pk]), data, headers={"Accept": accept})
    missing = client_of(charlie).post(reverse(view, args=[uuid.uuid4()]), data, headers={"Accept": accept})
    assert strange.status_code == missing.status_code == 404
    without_token = [re.sub(rb'name="csrf[^>]+>', b"", response.content) for response in (strange, missing)]
    assert without_token[0] == without_token[1]
    assert b"interview" not in strange.content
    assert Upload.objects.get().name == "interview.wav"


@pytest.mark.parametrize(("view", "data"), CHANGES)
def test_anonymous_requests_cannot_rename_or_delete_a_recording(
    stored: Stored, view: str, data: dict[str, str]
) -> None:
    address = reverse(view, args=[stored().pk])
    response = Client().post(address, data)
    assert (response.status_code, response.url) == (302, f"/accounts/login/?next={address}")
    assert Upload.objects.get().name == "interview.wav"


@pytest.mark.parametrize("view", ["upload-create", "upload-rename", "upload-delete"])
@pytest.mark.parametrize("method", ["get", "put", "delete", "patch"])
def test_upload_rename_and_delete_accept_only_post(
    stored: Stored, alice: User, client_of: ClientOf, view: str, method: str
) -> None:
    upload = stored()
    address = reverse(view) if view == "upload-create" else reverse(view, args=[upload.pk])
    response = getattr(client_of(alice), method)(address)
    assert (response.status_code, response["Allow"]) == (405, "POST")
    assert Upload.objects.get().name == "interview.wav"


@pytest.mark.parametrize("end", ["rename/", "delete/", "audio/", "waveform.svg"])
def test_an_address_without_a_uuid_is_404(alice: User, client_of: ClientOf, end: str) -> None:
    assert client_of(alice).post(f"/uploads/interview/{end}").status_code == 404
