"""Local copies of recordings in a bucket, which decoders read. Each is deleted after its use."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import Client

from uploads import waveforms
from uploads.files import s3 as buckets
from uploads.files import storage as file_storage
from uploads.models import Upload

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("storage", "in_bucket")]
ClientOf = Callable[[User], Client]


def copies(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("copy-*")]


async def test_a_decoder_gets_a_local_copy_that_is_deleted_afterwards(
    upload: Upload, large_object: bytes, tmp_path: Path
) -> None:
    await upload.arefresh_from_db()
    async with file_storage.local_path(upload, tmp_path) as path:
        assert path.read_bytes() == large_object
    assert copies(tmp_path) == []


async def test_a_waveform_from_the_bucket_leaves_no_local_copy(upload: Upload, files: Callable[[], list[str]]) -> None:
    await waveforms.make(upload)
    await upload.arefresh_from_db()
    assert len(upload.peaks or b"") == 1_000
    assert files() == []


async def test_cancelling_deletes_a_local_copy_at_once(
    upload: Upload, large_object: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
