"""Recordings in a bucket: storing, serving and deleting them."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient, Client

from tests import recordings as made
from tests.s3 import Bucket
from tests.uploads.files.conftest import CONTENT, Stored, address
from uploads import recordings
from uploads.files import s3 as buckets
from uploads.files import storage as file_storage
from uploads.models import Upload

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("storage", "in_bucket")]
ClientOf = Callable[[User], Client]


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
    upload: Upload, large_object: bytes, alice: User, asked: str, start: int, lengths: list[int]
) -> None:
    chunks = await body(alice, upload, **{"Range": asked} if asked else {})
    assert b"".join(chunks) == large_object[start:]
    assert max(map(len, chunks)) <= file_storage.CHUNK_BYTES
    assert max(lengths) <= file_storage.PIECE_BYTES
    assert sum(lengths) == len(large_object[start:])


async def test_retries_a_response_of_the_bucket_that_breaks_off(
    upload: Upload, large_object: bytes, alice: User, bucket: Bucket
) -> None:
    bucket.gate.cut_after = 1024**2
    assert b"".join(await body(alice, upload)) == large_object
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
