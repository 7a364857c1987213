"""Recordings in a bucket: storing, serving, decoding and deleting them, also while the bucket is unreachable."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core.files import File
from django.test import AsyncClient, Client
from django.urls import reverse
from pytest_django import Settings

from tests import recordings as made
from tests.s3 import Bucket
from uploads import recordings, waveforms
from uploads.files import s3 as buckets
from uploads.files import storage as file_storage
from uploads.files.storage import StorageAway
from uploads.models import Upload

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("storage", "in_bucket")]

Stored = Callable[..., Upload]
ClientOf = Callable[[User], Client]
CONTENT = made.tone(1.0).read_bytes()


@pytest.fixture
def upload(stored: Stored) -> Upload:
    return stored(made.tone(1.0), "Interview.wav")


def copies(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("copy-*")]


def address(upload: Upload) -> str:
    return reverse("upload-audio", args=[upload.pk])


def test_stores_a_recording_in_the_bucket_and_nowhere_else(
    upload: Upload, bucket: Bucket, files: Callable[[], list[str]]
) -> None:
    assert bucket.names() == [f"uploads/{upload.pk.hex[:2]}/{upload.pk}"]
    assert bucket.content(bucket.names()[0]) == CONTENT
    assert files() == []


def test_stores_a_recording_in_the_bucket_by_a_multipart_upload(
    bucket: Bucket, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made.write_wav("twelve-mebibytes", made.np.zeros((6 * 1024**2, 1)), 16_000)
    upload = stored(path)
    assert upload.size > buckets.PARTS.multipart_threshold
    assert bucket.content(bucket.names()[0]) == path.read_bytes()


@pytest.mark.parametrize(
    ("headers", "status", "content", "content_range"),
    [
        ({}, 200, CONTENT, None),
        ({"Range": "bytes=0-"}, 206, CONTENT, f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}"),
        ({"Range": "bytes=100-199"}, 206, CONTENT[100:200], f"bytes 100-199/{len(CONTENT)}"),
        ({"Range": "bytes=-9"}, 206, CONTENT[-9:], f"bytes {len(CONTENT) - 9}-{len(CONTENT) - 1}/{len(CONTENT)}"),
        ({"Range": f"bytes={len(CONTENT)}-"}, 416, b"", f"bytes */{len(CONTENT)}"),
        ({"Range": "bytes=0-9", "If-Range": '"other"'}, 200, CONTENT, None),
    ],
)
def test_serves_a_recording_from_the_bucket_whole_and_in_ranges(
    upload: Upload,
    alice: User,
    client_of: ClientOf,
    headers: dict[str, str],
    status: int,
    content: bytes,
    content_range: str | None,
) -> None:
    response = client_of(alice).get(address(upload), headers=headers)
    assert (response.status_code, response.content) == (status, content)
    assert response.get("Content-Range") == content_range
    assert response["ETag"] == f'"{upload.sha256}"'
    assert response["Content-Security-Policy"] == "sandbox; default-src 'none'"


def test_if_range_with_the_right_etag_gets_a_range_from_the_bucket(
    upload: Upload, alice: User, client_of: ClientOf
) -> None:
    headers = {"Range": "bytes=5-9", "If-Range": f'"{upload.sha256}"'}
    response = client_of(alice).get(address(upload), headers=headers)
    assert (response.status_code, response.content) == (206, CONTENT[5:10])


def test_checks_access_for_each_range_from_the_bucket(
    upload: Upload, charlie: User, bob: User, client_of: ClientOf
) -> None:
    assert client_of(bob).get(address(upload), headers={"Range": "bytes=0-9"}).status_code == 206
    for headers in ({}, {"Range": "bytes=0-9"}, {"Range": "bytes=99999999-"}):
        assert client_of(charlie).get(address(upload), headers=headers).status_code == 404
        assert Client().get(address(upload), headers=headers).status_code == 302


def test_an_object_that_is_missing_from_the_bucket_is_404(
    upload: Upload, alice: User, client_of: ClientOf, bucket: Bucket
) -> None:
    bucket.client.delete_object(Bucket=bucket.name, Key=upload.file.name)
    for method in ("get", "head"):
        assert getattr(client_of(alice), method)(address(upload)).status_code == 404


@pytest.fixture
def large(upload: Upload, bucket: Bucket) -> bytes:
    """The content of `upload`, made larger than several pieces."""
    content = bytes(range(256)) * (5 * 1024**2 // 256) + b"the end"
    bucket.client.put_object(Bucket=bucket.name, Key=upload.file.name, Body=content)
    Upload.objects.filter(pk=upload.pk).update(size=len(content))
    return content


async def body(user: User, upload: Upload, **headers: str) -> list[bytes]:
    client = AsyncClient()
    await client.aforce_login(user)
    response = await client.get(address(upload), headers=headers)
    assert response.streaming
    return [chunk async for chunk in response]


@pytest.fixture
def lengths(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of bytes of each read from the bucket."""
    asked, read_part = [], buckets.BucketStorage.read_part

    def noted(storage: buckets.BucketStorage, name: str, start: int, stop: int) -> bytes:
        asked.append(stop - start)
        return read_part(storage, name, start, stop)

    monkeypatch.setattr(buckets.BucketStorage, "read_part", noted)
    return asked


@pytest.mark.parametrize(
    ("asked", "start"), [("", 0), ("bytes=0-", 0), ("bytes=7-99999999", 7), ("bytes=-3000000", -3_000_000)]
)
async def test_reads_a_large_recording_from_the_bucket_in_bounded_pieces(
    upload: Upload, large: bytes, alice: User, asked: str, start: int, lengths: list[int]
) -> None:
    chunks = await body(alice, upload, **{"Range": asked} if asked else {})
    assert b"".join(chunks) == large[start:]
    assert max(map(len, chunks)) <= file_storage.CHUNK_BYTES
    assert max(lengths) <= file_storage.PIECE_BYTES
    assert sum(lengths) == len(large[start:])


async def test_retries_a_response_of_the_bucket_that_breaks_off(
    upload: Upload, large: bytes, alice: User, bucket: Bucket
) -> None:
    bucket.gate.cut_after = 1024**2
    assert b"".join(await body(alice, upload)) == large
    assert bucket.gate.cut_after is None


def test_a_download_from_the_bucket_has_the_name_of_the_recording(
    upload: Upload, alice: User, client_of: ClientOf
) -> None:
    response = client_of(alice).get(f"{address(upload)}?download")
    assert (response["Content-Disposition"], response.content) == ('attachment; filename="Interview.wav"', CONTENT)


def test_a_head_request_reads_one_byte_from_the_bucket(
    upload: Upload, alice: User, client_of: ClientOf, lengths: list[int]
) -> None:
    response = client_of(alice).head(address(upload))
    assert (response.status_code, response.content, response["Content-Length"]) == (200, b"", str(len(CONTENT)))
    assert lengths == [1]


def test_deleting_a_recording_deletes_its_object_in_the_bucket(upload: Upload, bucket: Bucket) -> None:
    recordings.delete(upload)
    assert bucket.names() == []
    assert not Upload.objects.exists()


async def test_a_decoder_gets_a_local_copy_that_is_deleted_afterwards(
    upload: Upload, large: bytes, tmp_path: Path
) -> None:
    await upload.arefresh_from_db()
    async with file_storage.local_path(upload, tmp_path) as path:
        assert path.read_bytes() == large
    assert copies(tmp_path) == []


async def test_a_waveform_from_the_bucket_leaves_no_local_copy(upload: Upload, files: Callable[[], list[str]]) -> None:
    await waveforms.make(upload)
    await upload.arefresh_from_db()
    assert len(upload.peaks or b"") == 1_000
    assert files() == []


async def test_cancelling_deletes_a_local_copy_at_once(
    upload: Upload, large: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    going, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slow(storage: buckets.BucketStorage, name: str, start: int, stop: int) -> bytes:
        asked.append(start)
        loop.call_soon_threadsafe(going.set)
        go_on.wait(60)
        return bytes(stop - start)  # no real read: the bucket may be deleted before this thread ends

    monkeypatch.setattr(buckets.BucketStorage, "read_part", slow)
    fresh = await sync_to_async(Upload.objects.get)(pk=upload.pk)

    async def copy() -> None:
        async with file_storage.local_path(fresh, tmp_path):
            raise AssertionError("the copying should have been cancelled")

    copying = asyncio.create_task(copy())
    await going.wait()
    assert copies(tmp_path) != []
    copying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await copying
    assert copies(tmp_path) == []
    go_on.set()
    assert len(asked) == 1


async def test_a_full_disk_leaves_no_local_copy_of_a_file_from_the_bucket(
    upload: Upload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = file_storage.tempfile.NamedTemporaryFile

    def on_full_disk(**options: Any) -> Any:
        file = named(**options)
        with open("/dev/full", "wb") as device:
            file_storage.os.dup2(device.fileno(), file.fileno())
        return file

    monkeypatch.setattr(file_storage.tempfile, "NamedTemporaryFile", on_full_disk)
    given = []
    with pytest.raises(OSError, match="No space left"):
        async with file_storage.local_path(upload, tmp_path) as path:
            given.append(path)
    assert (given, copies(tmp_path)) == ([], [])


# While the bucket is unreachable or full


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
