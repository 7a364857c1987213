"""Listening copies on a full disk: requests are refused with 507."""

import json
import os
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from pytest_django import Settings

from tests import recordings as made
from tests.disks import filled
from tests.uploads.listening_copies.conftest import Stored, ask, content_of
from uploads.decoder import client as decoder
from uploads.models import Upload

pytestmark = pytest.mark.django_db(transaction=True)

FULL = "The server's disk is full. Nothing was changed; try again later."


async def assert_full(user: User, upload: Upload) -> None:
    """Assert that every request for the copy is answered with 507, repeated requests too."""
    for method in ("get", "head"):
        assert (await ask(user, upload, method)).status_code == 507
    response = await ask(user, upload, Accept="application/json")
    assert (response.status_code, json.loads(await content_of(response))) == (507, {"error": FULL})


@pytest.mark.parametrize("is_decoder_first", [True, False], ids=["the decoder", "the storage"])
async def test_a_full_disk_refuses_a_listening_copy_with_507(
    is_decoder_first: bool, stored: Stored, alice: User, storage: Path, small_disk: Path, settings: Settings
) -> None:
    upload = await sync_to_async(stored)(made.encode(made.speech(), "aiff"), "talk.aiff")
    if is_decoder_first:
        settings.FILE_UPLOAD_TEMP_DIR = small_disk
    else:
        (storage / "media/listen").symlink_to(small_disk)
    with filled(small_disk):
        if not is_decoder_first:  # the first request receives the growing copy until storing it fails
            with pytest.raises(OSError, match="No space left"):
                await content_of(await ask(alice, upload))
        await assert_full(alice, upload)
    assert [name for *_, names in os.walk(small_disk) for name in names] == []


async def test_a_disk_that_becomes_full_breaks_off_the_growing_copy_and_refuses_the_next_with_507(
    stored: Stored, alice: User, small_disk: Path, settings: Settings
) -> None:
    upload = await sync_to_async(stored)(made.encode(made.tone(600.0), "aiff"), "long.aiff")
    settings.FILE_UPLOAD_TEMP_DIR = small_disk
    with filled(small_disk, free_bytes=1024**2):
        with pytest.raises(decoder.DecodingError, match=r"^The disk is full\.$"):
            await content_of(await ask(alice, upload))
        await assert_full(alice, upload)


@pytest.mark.usefixtures("in_bucket")
async def test_a_disk_without_room_for_a_file_from_the_bucket_refuses_its_listening_copy_with_507(
    stored: Stored, alice: User, small_disk: Path, settings: Settings
) -> None:
    upload = await sync_to_async(stored)(made.encode(made.speech(), "aiff"), "talk.aiff")
    settings.FILE_UPLOAD_TEMP_DIR = small_disk
    with filled(small_disk):
        await assert_full(alice, upload)
