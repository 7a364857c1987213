"""Makes and stores listening copies: files that players get instead of a recording's own file.

A recording needs a copy unless every browser can play its own file at the times that the transcript shows
(`Upload.needs_copy`).

The view `listen` starts to make a copy at the first request. Players can play the copy while it is being made. The
finished copy is stored beside the recordings, and deleted with its recording. If two processes make the same copy at
once, each renames a whole file to the same name, so the last one replaces an equal file.
"""

import asyncio
import logging
import os
import uuid
import weakref
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.files.storage import Storage
from django.db import connections

from uploads import tracks
from uploads.decoder import client as decoder
from uploads.decoder.slots import Purpose, slots
from uploads.files import storage as file_storage
from uploads.files.storage import CHUNK_BYTES, Content
from uploads.models import Upload

logger = logging.getLogger(__name__)

ROOT = "listen"
# For so long after a failure requests get the same error: players retry at once, and each attempt may take minutes.
FAILED_SECONDS = 30.0


class GrowingCopy:
    """A copy that is being made: a growing file with any number of readers. The constructor raises OSError."""

    def __init__(self) -> None:
        self.path = Path(settings.FILE_UPLOAD_TEMP_DIR) / f"listen-{uuid.uuid4()}.mp4"
        self.is_complete = False
        self.error: Exception | None = None
        self.task: asyncio.Task[None] | None = None  # a strong reference: the event loop has only a weak one
        self._grown = asyncio.Condition()
        # The readers share one descriptor, which stays open until the last of them drops this object. They could not
        # open the file themselves: its name disappears when it is complete.
        # A blocking call on the event loop: opening a local file takes microseconds.
        self._file = os.open(self.path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        weakref.finalize(self, os.close, self._file)

    @property
    def size(self) -> int:
        return os.fstat(self._file).st_size

    async def notify_readers(self, *, is_complete: bool = False, error: Exception | None = None) -> None:
        """Wake the readers, because the file has grown, is complete, or will not grow after `error`."""
        async with self._grown:
            self.is_complete, self.error = is_complete, error
            self._grown.notify_all()

    async def wait(self, size: int = 0) -> None:
        """Wait until the file has more than `size` bytes or is complete. Raises the error if making the copy failed."""
        async with self._grown:
            await self._grown.wait_for(lambda: self.is_complete or self.error or self.size > size)
        if self.error:
            raise self.error

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the file from its beginning as it grows. Raises the error if making the copy failed."""
        offset, is_last = 0, False
        while not is_last:
            await self.wait(offset)
            is_last = self.is_complete  # set before reading: data that is written meanwhile must still be read
            while chunk := await file_storage.in_thread(os.pread, self._file, CHUNK_BYTES, offset):
                offset += len(chunk)
                yield chunk


GrowingCopies = dict[tuple[uuid.UUID, str], GrowingCopy]

# For each event loop, the copies that it is making, or failed to make a moment ago, by recording and track.
_growing_copies: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, GrowingCopies] = weakref.WeakKeyDictionary()


def name_of(pk: uuid.UUID, track: str) -> str:
    """Return the name of a copy in the storage."""
    return f"{folder_of(pk)}/{track}.mp4"


def folder_of(pk: uuid.UUID) -> str:
    return f"{ROOT}/{pk.hex[:2]}/{pk}"


def track_of(upload: Upload, given: str | None) -> str:
    """Return the track that a client requests, as an index or `all`. Raises UnknownTrack."""
    track = tracks.parse(given) or str(upload.track)
    tracks.check(upload.tracks, track)
    return "0" if len(upload.tracks) < 2 else track  # with a single track `all` means that track


def channels_of(upload: Upload, track: str) -> int:
    """Return the number of channels of a copy, 1 or 2: that of the track, or the maximum of all mixed tracks."""
    if not upload.tracks:
        return min(2, upload.channels)
    mixed = upload.tracks if track == tracks.ALL else [upload.tracks[int(track)]]
    return max(1, min(2, max(each["channels"] for each in mixed)))


def find(upload: Upload, track: str) -> Content | None:
    """Return the finished copy of a track, or None if there is none. Raises StorageAway."""
    return file_storage.find(upload.file.storage, name_of(upload.pk, track))


def make(upload: Upload, track: str) -> GrowingCopy:
    """Start to make a copy on the running event loop, unless it is being made, and return it. Raises OSError.

    The copy is finished and stored even if all readers disconnect.
    """
    copies = _growing_copies.setdefault(asyncio.get_running_loop(), {})
    copy = copies.get((upload.pk, track))
    if copy is None:
        copy = copies[upload.pk, track] = GrowingCopy()
        copy.task = asyncio.create_task(_make(upload, track, copy, copies))
    return copy


async def _make(upload: Upload, track: str, copy: GrowingCopy, copies: GrowingCopies) -> None:
    key, keep_seconds = (upload.pk, track), 0.0
    try:
        async with (
            slots.acquire(Purpose.LISTEN, upload.owner_id),
            file_storage.local_path(upload, settings.FILE_UPLOAD_TEMP_DIR) as source,
        ):
            encoded = decoder.encode_copy(source, copy.path, channels=channels_of(upload, track), track=track)
            async with aclosing(encoded):
                async for _ in encoded:
                    await copy.notify_readers()
        await file_storage.in_thread(file_storage.put, upload.file.storage, name_of(upload.pk, track), copy.path)
        # If the recording was deleted meanwhile, nothing else would delete this copy.
        if not await sync_to_async(_exists, thread_sensitive=False)(upload.pk):
            await file_storage.in_thread(remove, upload.file.storage, upload.pk)
        await copy.notify_readers(is_complete=True)
    except Exception as error:  # any type: the readers are waiting, and raise it in their requests
        logger.warning("Could not make a listening copy of the recording %s: %s", upload.pk, error)
        keep_seconds = FAILED_SECONDS
        await copy.notify_readers(error=error)
    finally:
        copy.path.unlink(missing_ok=True)
        asyncio.get_running_loop().call_later(keep_seconds, copies.pop, key, None)


def _exists(pk: uuid.UUID) -> bool:
    try:
        return Upload.objects.filter(pk=pk).exists()
    finally:
        connections.close_all()  # this thread belongs to no request, so Django would never close its connections


def remove(storage: Storage, pk: uuid.UUID) -> None:
    """Remove all copies of a deleted recording. Raises StorageAway and OSError."""
    folder = folder_of(pk)
    try:
        _, names = storage.listdir(folder)
    except FileNotFoundError:
        return
    for name in names:
        storage.delete(f"{folder}/{name}")
    storage.delete(folder)  # on a disk this removes the empty folder; a bucket has no folders
