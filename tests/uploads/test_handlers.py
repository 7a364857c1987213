"""A disk that gets full while a request is still being read."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadhandler import StopUpload
from django.http import HttpRequest
from django.test import Client
from django.urls import reverse

from uploads.handlers import DISK_IS_FULL, DiskUploadHandler
from uploads.models import Upload


def test_a_full_disk_ends_the_file_and_is_noted() -> None:
    request = HttpRequest()
    handler = DiskUploadHandler(request)
    handler.file = open("/dev/full", "wb", buffering=0)  # type: ignore[assignment] # noqa: SIM115 the handler closes it
    with pytest.raises(StopUpload):
        handler.receive_data_chunk(b"sound", 0)
    assert request.META[DISK_IS_FULL] is True
    assert handler.file.closed


@pytest.mark.django_db
def test_a_request_whose_file_did_not_fit_gets_a_sentence(alice: User, client_of: Callable[[User], Client]) -> None:
    noted = {DISK_IS_FULL: True}
    answer = client_of(alice).post(reverse("upload-create"), headers={"Accept": "application/json"}, **noted)
    assert answer.status_code == 507
    assert answer.json() == {"error": "The server's disk is full. Nothing was stored; try again later."}
    assert not Upload.objects.exists()
