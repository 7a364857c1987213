"""Access checks for listening copies. They are stored, and deleted, with their recording."""

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import AsyncClient
from django.urls import reverse

from tests import recordings as made
from tests.s3 import Bucket
from tests.uploads.listening_copies.conftest import (
    RATE,
    Stored,
    address,
    ask,
    content_of,
    copy_of,
    place_of,
    samples_of,
)
from uploads import listening_copies, recordings

pytestmark = pytest.mark.django_db(transaction=True)


async def test_only_people_who_may_see_a_recording_can_play_its_listening_copy(
    stored: Stored, alice: User, bob: User, charlie: User, encodings: list[Path]
) -> None:
    upload = await sync_to_async(stored)(made.encode(made.speech(), "aiff"), "talk.aiff")
    for method in ("get", "head"):
        assert (await ask(charlie, upload, method)).status_code == 404
        assert (await getattr(AsyncClient(), method)(address(upload))).status_code == 302
    assert (await ask(alice, upload, "post")).status_code == 405
    assert encodings == []
    await copy_of(bob, upload)
    for headers in ({}, {"Range": "bytes=0-9"}):
        assert (await ask(charlie, upload, **headers)).status_code == 404
        assert (await AsyncClient().get(address(upload), headers=headers)).status_code == 302
    assert (await ask(bob, upload, Range="bytes=0-9")).status_code == 206
    client = AsyncClient()
    await client.aforce_login(alice)
    assert (await client.get(reverse("upload-listen", args=[uuid.uuid4()]))).status_code == 404


async def test_a_listening_copy_is_deleted_with_its_recording(
    stored: Stored, alice: User, storage: Path, files: Callable[[], list[str]]
) -> None:
    upload = await sync_to_async(stored)(made.encode(made.speech(), "aiff"), "talk.aiff")
    await copy_of(alice, upload)
    folder = place_of(upload).parent
    await sync_to_async(recordings.delete)(upload)
    assert (files(), folder.exists()) == ([], False)


async def test_the_listening_copy_of_a_recording_that_is_deleted_meanwhile_is_removed(
    stored: Stored, alice: User, files: Callable[[], list[str]]
) -> None:
    upload = await sync_to_async(stored)(made.encode(made.silence(600.0), "aiff"), "long.aiff")
    response = await ask(alice, upload)
    chunks = aiter(response)
    await anext(chunks)
    await sync_to_async(recordings.delete)(upload)
    async for _ in chunks:
        pass
    assert files() == []


@pytest.mark.usefixtures("in_bucket")
async def test_a_listening_copy_is_stored_in_the_bucket_of_the_recordings(
    stored: Stored, alice: User, bucket: Bucket, files: Callable[[], list[str]], tmp_path: Path
) -> None:
    upload = await sync_to_async(stored)(made.encode(made.speech(), "aiff"), "talk.aiff")
    await copy_of(alice, upload)
    name = listening_copies.name_of(upload.pk, "0")
    assert (sorted(bucket.names()), files()) == (sorted([upload.file.name, name]), [])
    (tmp_path / "copy.mp4").write_bytes(bucket.content(name))
    assert len(samples_of(tmp_path / "copy.mp4")) == pytest.approx(9.963 * RATE, abs=RATE / 20)
    part = await ask(alice, upload, Range="bytes=5-14")
    assert (part.status_code, await content_of(part)) == (206, bucket.content(name)[5:15])
    bucket.gate.shut()
    assert (await ask(alice, upload)).status_code == 503
    bucket.gate.open()
    await sync_to_async(recordings.delete)(upload)
    assert bucket.names() == []
