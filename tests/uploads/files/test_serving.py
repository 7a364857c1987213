"""Serving a recording's file: whole, in ranges and as a download, with headers that protect against its content."""

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission, User
from django.http import HttpResponseBase
from django.test import AsyncClient, Client
from django.urls import reverse

from tests import recordings as made
from tests.uploads.files.conftest import CONTENT, Stored
from uploads.files import serving
from uploads.models import Upload

ClientOf = Callable[[User], Client]
LARGE = 3 * 1024**2 + 7  # bytes of the file `large`


def get(client: Client, upload: Upload, address: str = "", method: str = "get", **headers: str) -> HttpResponseBase:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return getattr(client, method)(reverse("upload-audio", args=[upload.pk]) + address, headers=headers)


def test_serves_the_uploaded_bytes_with_protective_headers(upload: Upload, alice: User, client_of: ClientOf) -> None:
    response = get(client_of(alice), upload)
    assert response.status_code == 200
    assert response.content == CONTENT
    assert {name: response[name] for name in response.headers if name != "Vary"} == {
        "Content-Type": "audio/wav",
        "Content-Length": str(len(CONTENT)),
        "Content-Disposition": 'inline; filename="Interview.wav"',
        "Accept-Ranges": "bytes",
        "ETag": f'"{upload.sha256}"',
        "Cache-Control": "private, max-age=3600",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "same-origin",
        "X-Frame-Options": "DENY",
    }


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-", 0, len(CONTENT)),
        ("bytes=0-1", 0, 2),
        ("bytes=1000-1999", 1_000, 2_000),
        ("bytes=-100", len(CONTENT) - 100, len(CONTENT)),
        (f"bytes=32000-{len(CONTENT) + 5}", 32_000, len(CONTENT)),
    ],
)
def test_serves_the_requested_range(
    upload: Upload, alice: User, client_of: ClientOf, asked: str, start: int, stop: int
) -> None:
    response = get(client_of(alice), upload, Range=asked)
    assert response.status_code == 206
    assert response.content == CONTENT[start:stop]
    assert response["Content-Range"] == f"bytes {start}-{stop - 1}/{len(CONTENT)}"
    assert response["Content-Length"] == str(stop - start)
    assert response["ETag"] == f'"{upload.sha256}"'
    assert response["Content-Security-Policy"] == "sandbox; default-src 'none'"


def test_answers_416_for_a_range_outside_the_file(upload: Upload, alice: User, client_of: ClientOf) -> None:
    response = get(client_of(alice), upload, Range=f"bytes={len(CONTENT)}-")
    assert (response.status_code, response.content) == (416, b"")
    assert response["Content-Range"] == f"bytes */{len(CONTENT)}"


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "bytes=9-1", "pages=1-2", "nonsense"])
def test_serves_the_whole_file_for_several_ranges_or_an_invalid_header(
    upload: Upload, alice: User, client_of: ClientOf, asked: str
) -> None:
    response = get(client_of(alice), upload, Range=asked)
    assert (response.status_code, response.content) == (200, CONTENT)
    assert "Content-Range" not in response


def test_if_range_with_another_version_gets_the_whole_file(upload: Upload, alice: User, client_of: ClientOf) -> None:
    client = client_of(alice)
    assert get(client, upload, Range="bytes=0-9", If_Range=f'"{upload.sha256}"').status_code == 206
    for other in ('"other"', f'W/"{upload.sha256}"', upload.sha256, "Sun, 22 Nov 2026 08:00:00 GMT"):
        response = get(client, upload, Range="bytes=0-9", If_Range=other)
        assert (response.status_code, response.content) == (200, CONTENT)


def test_answers_304_and_412_to_conditional_requests(upload: Upload, alice: User, client_of: ClientOf) -> None:
    response = get(client_of(alice), upload, If_None_Match=f'"{upload.sha256}"')
    assert (response.status_code, response.content) == (304, b"")
    response = get(client_of(alice), upload, If_Match='"other"', Range="bytes=0-9")
    assert (response.status_code, response.content) == (412, b"")


def test_head_answers_with_the_size_and_no_body(upload: Upload, alice: User, client_of: ClientOf) -> None:
    for headers in ({}, {"Range": "bytes=0-9"}):
        response = get(client_of(alice), upload, method="head", **headers)
        assert (response.status_code, response.content) == (200, b"")
        assert response["Content-Length"] == str(len(CONTENT))
        assert response["Accept-Ranges"] == "bytes"


@pytest.fixture
def large(upload: Upload) -> bytes:
    """The content of `upload`, made larger than several chunks."""
    content = bytes(range(256)) * (3 * 1024**2 // 256) + b"the end"
    assert len(content) == LARGE
    Path(upload.file.path).write_bytes(content)
    return content


async def body(client: AsyncClient, upload: Upload, **headers: str) -> tuple[HttpResponseBase, list[bytes]]:
    response = await client.get(reverse("upload-audio", args=[upload.pk]), headers=headers)
    return response, [chunk async for chunk in response] if response.streaming else [response.content]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        (None, 0, LARGE),
        ("bytes=0-", 0, LARGE),  # browsers request media with open ranges
        ("bytes=5-", 5, LARGE),
        ("bytes=0-99999999", 0, LARGE),
        ("bytes=5-3000000", 5, 3_000_001),
        ("bytes=-3000000", LARGE - 3_000_000, LARGE),
    ],
)
async def test_a_large_range_is_answered_as_requested_in_bounded_chunks(
    upload: Upload, large: bytes, alice: User, asked: str | None, start: int, stop: int
) -> None:
    client = AsyncClient()
    await client.aforce_login(alice)
    response, chunks = await body(client, upload, **{"Range": asked} if asked else {})
    assert b"".join(chunks) == large[start:stop]
    assert max(map(len, chunks)) <= serving.CHUNK_BYTES
    assert response.status_code == (206 if asked else 200)
    assert response.get("Content-Range") == (f"bytes {start}-{stop - 1}/{LARGE}" if asked else None)
    assert response["Content-Length"] == str(stop - start)


@pytest.mark.django_db(transaction=True)
async def test_a_file_that_is_cut_short_while_it_is_sent_ends_the_body(
    upload: Upload, large: bytes, alice: User
) -> None:
    client = AsyncClient()
    await client.aforce_login(alice)
    response = await client.get(reverse("upload-audio", args=[upload.pk]))
    received = b""
    async for chunk in response:
        received += chunk
        Path(upload.file.path).write_bytes(large[: serving.CHUNK_BYTES + 10])  # noqa: ASYNC240
    assert received == large[: serving.CHUNK_BYTES + 10]


@pytest.mark.parametrize(
    ("name", "disposition"),
    [
        ("talk.wav", 'attachment; filename="talk.wav"'),
        ('say "hi".wav', 'attachment; filename="say \\"hi\\".wav"'),
        ("Grüße 🎙.wav", "attachment; filename*=utf-8''Gr%C3%BC%C3%9Fe%20%F0%9F%8E%99.wav"),
        ("a\r\nSet-Cookie: x=1", 'attachment; filename="a Set-Cookie: x=1"'),
    ],
)
def test_a_download_has_the_recordings_name_and_no_name_can_add_a_header(
    stored: Stored, alice: User, client_of: ClientOf, name: str, disposition: str
) -> None:
    response = get(client_of(alice), stored(made.tone(1.0), name), "?download")
    assert response["Content-Disposition"] == disposition
    assert "Set-Cookie" not in response.headers


def test_serves_the_content_type_that_decoding_found(stored: Stored, alice: User, client_of: ClientOf) -> None:
    upload = stored(made.tone(1.0, suffix="m4a"), "page.html")
    assert get(client_of(alice), upload)["Content-Type"] == "audio/mp4"


def test_answers_404_for_a_recording_whose_file_is_missing(upload: Upload, alice: User, client_of: ClientOf) -> None:
    Path(upload.file.path).unlink()
    assert get(client_of(alice), upload).status_code == 404


def test_staff_with_permission_can_play_a_recording_and_strangers_get_404(
    upload: Upload, bob: User, charlie: User, client_of: ClientOf
) -> None:
    assert get(client_of(bob), upload, Range="bytes=0-9").status_code == 206
    for headers in ({}, {"Range": "bytes=0-9"}, {"If-None-Match": f'"{upload.sha256}"'}):
        response = get(client_of(charlie), upload, **headers)
        assert response.status_code == 404
        assert upload.sha256.encode() not in response.content + str(response.headers).encode()
    bob.user_permissions.set(Permission.objects.none())
    assert get(client_of(bob), upload).status_code == 404


def test_an_anonymous_request_for_audio_is_redirected_to_the_sign_in_page(upload: Upload) -> None:
    response = get(Client(), upload, Range="bytes=0-9")
    assert (response.status_code, response.url) == (302, f"/accounts/login/?next=/uploads/{upload.pk}/audio/")


def test_the_audio_view_accepts_only_get_and_head(upload: Upload, alice: User, client_of: ClientOf) -> None:
    for method in ("post", "put", "delete", "patch"):
        response = get(client_of(alice), upload, method=method)
        assert (response.status_code, response["Allow"]) == (405, "GET, HEAD")
    assert client_of(alice).get(reverse("upload-audio", args=[uuid.uuid4()])).status_code == 404
