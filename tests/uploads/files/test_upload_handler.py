"""The upload handler on a full or missing disk, while the site is still reading the request."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.files.uploadhandler import StopUpload
from django.http import HttpRequest
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from tests import recordings as made
from uploads import recordings
from uploads.files import storage
from uploads.files.upload_handler import DISK_ERROR, DiskUploadHandler
from uploads.models import Upload


def test_a_full_disk_stops_an_upload_and_its_error_is_stored_in_the_request() -> None:
    request = HttpRequest()
    handler = DiskUploadHandler(request)
    handler.file = open("/dev/full", "wb", buffering=0)  # type: ignore[assignment] # noqa: SIM115 the handler closes it
    with pytest.raises(StopUpload):
        handler.receive_data_chunk(b"sound", 0)
    assert request.META[DISK_ERROR].errno == errno.ENOSPC
    assert handler.file.closed


@pytest.mark.django_db
def test_a_request_whose_file_did_not_fit_on_the_disk_is_answered_with_507(
    alice: User, client_of: Callable[[User], Client]
) -> None:
    noted = {DISK_ERROR: OSError(errno.ENOSPC, "No space left on device")}
    answer = client_of(alice).post(reverse("upload-create"), headers={"Accept": "application/json"}, **noted)
    assert answer.status_code == 507
    assert answer.json() == {"error": "The server's disk is full. Nothing was stored; try again later."}
    assert not Upload.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("away", ["FILE_UPLOAD_TEMP_DIR", "MEDIA_ROOT"])
def test_a_missing_folder_refuses_uploads_with_503_and_fails_the_readiness_check(
    alice: User, client_of: Callable[[User], Client], settings: Settings, tmp_path: Path, away: str
) -> None:
    (tmp_path / "file").touch()
    setattr(settings, away, tmp_path / "file" / "folder")
    sound = SimpleUploadedFile("talk.wav", made.tone(1.0).read_bytes())
    answer = client_of(alice).post(reverse("upload-create"), {"file": sound}, headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()) == (503, {"error": recordings.STORAGE_AWAY})
    assert not Upload.objects.exists()
    with pytest.raises(OSError):
        storage.check()
