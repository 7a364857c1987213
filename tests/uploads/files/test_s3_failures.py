"""Failures while recordings are in a bucket: it is unreachable, full or missing, or the row cannot be stored."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files import File
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from tests import recordings as made
from tests.s3 import Bucket
from tests.uploads.files.conftest import address
from uploads import recordings
from uploads.files import s3 as buckets
from uploads.files.storage import StorageAway
from uploads.models import Upload

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("storage", "in_bucket")]
ClientOf = Callable[[User], Client]


def test_an_upload_is_refused_with_503_while_the_bucket_is_unreachable(
    alice: User, client_of: ClientOf, bucket: Bucket, files: Callable[[], list[str]]
) -> None:
    def send() -> Any:
        with open(made.tone(1.0), "rb") as file:
            return client_of(alice).post(
                reverse("upload-create"), {"file": file}, headers={"Accept": "application/json"}
            )

    bucket.gate.shut()
    refused = send()
    assert (refused.status_code, refused.json()) == (503, {"error": recordings.STORAGE_AWAY})
    assert (files(), Upload.objects.count()) == ([], 0)
    bucket.gate.open()
    assert send().status_code == 201
    assert len(bucket.names()) == 1


FULL_ANSWERS = {"XMinioStorageFull": 507, "XMinioAdminBucketQuotaExceeded": 400, "QuotaExceeded": 403}


@pytest.fixture(params=FULL_ANSWERS)
def full_bucket(request: pytest.FixtureRequest, in_bucket: None, settings: Settings) -> Iterator[None]:
    """A storage whose bucket answers every upload as a full MinIO or Ceph does."""
    code = request.param
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>No room.</Message></Error>".encode()

    class Full(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(FULL_ANSWERS[code])
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

        def do_DELETE(self) -> None:  # the site deletes an object that it may have stored in part
            self.send_response(204)
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Full) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        default = settings.STORAGES["default"]
        options = {**default["OPTIONS"], "endpoint_url": f"http://127.0.0.1:{server.server_port}"}
        settings.STORAGES = {**settings.STORAGES, "default": {**default, "OPTIONS": options}}
        yield
        server.shutdown()


@pytest.mark.usefixtures("full_bucket")
def test_a_full_bucket_refuses_an_upload_with_507(
    alice: User, client_of: ClientOf, files: Callable[[], list[str]]
) -> None:
    with open(made.tone(1.0), "rb") as file:
        accept = {"Accept": "application/json"}
        refused = client_of(alice).post(reverse("upload-create"), {"file": file}, headers=accept)
    assert (refused.status_code, refused.json()) == (507, {"error": recordings.DISK_FULL})
    assert (files(), Upload.objects.count()) == ([], 0)


def test_a_player_gets_503_with_retry_after_while_the_bucket_is_unreachable(
    upload: Upload, alice: User, client_of: ClientOf, bucket: Bucket
) -> None:
    bucket.gate.shut()
    response = client_of(alice).get(address(upload), headers={"Range": "bytes=0-"})
    assert (response.status_code, response["Retry-After"], response["Cache-Control"]) == (503, "10", "no-store")
    assert bucket.name.encode() not in response.content
    bucket.gate.open()
    assert client_of(alice).get(address(upload), headers={"Range": "bytes=0-"}).status_code == 206


def test_a_waveform_is_flat_and_uncached_while_the_bucket_is_unreachable(
    upload: Upload, alice: User, client_of: ClientOf, bucket: Bucket
) -> None:
    bucket.gate.shut()
    response = client_of(alice).get(reverse("upload-waveform", args=[upload.pk]))
    assert (response.status_code, response["Cache-Control"]) == (200, "no-store")


def test_deleting_a_recording_while_the_bucket_is_unreachable_logs_the_file_that_stays(
    upload: Upload, bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    name = upload.file.name
    bucket.gate.shut()
    recordings.delete(upload)
    assert not Upload.objects.exists()
    assert f"Could not remove the file {name} of a deleted recording" in caplog.text
    assert bucket.names() == [name]


def test_an_upload_whose_row_cannot_be_stored_leaves_no_object_in_the_bucket(
    alice: User, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("no rows today")

    monkeypatch.setattr(Upload, "save", refuse)
    with open(made.tone(1.0), "rb") as file, pytest.raises(RuntimeError):
        recordings.store(alice, File(file), "a.wav")
    assert bucket.names() == []


def test_a_missing_bucket_raises_storage_away(upload: Upload, bucket: Bucket) -> None:
    upload.file.storage.check()
    options = {"bucket_name": "nobodys", "endpoint_url": bucket.gate.url, "region_name": None}
    for ask in (buckets.BucketStorage(**options).check, lambda: buckets.BucketStorage(**options).read_part("a", 0, 1)):
        with pytest.raises(StorageAway):
            ask()
