"""Listening copies: what the player plays where browsers can't play a recording's file at the times of the spool.

A copy is made when it is first asked for, stored beside the recordings, and deleted with its recording. It can be
played while it is made. Two processes may make the same copy at once: each renames a whole file to the same name.
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
from uploads.decoder.slots import Purpose, places
from uploads.files import storage as contents
from uploads.files.storage import CHUNK_BYTES, Content
from uploads.models import Upload

logger = logging.getLogger(__name__)

ROOT = "listen"
FAILED_SECONDS = 30.0  # that a failure is kept: players ask again at once, and each attempt may take minutes


class Making:
    """A copy that is being made: a file that grows, which any number of readers follow. Raises OSError."""

    def __init__(self) -> None:
        self.path = Path(settings.FILE_UPLOAD_TEMP_DIR) / f"listen-{uuid.uuid4()}.mp4"
        self.is_complete = False
        self.error: Exception | None = None
        self.task: asyncio.Task[None] | None = None  # kept here: the event loop itself has only weak references
        self._grown = asyncio.Condition()
        # Readers share it, and keep it as long as they have this object: the file loses its name when it is complete.
        # On the event loop: opening a file of our own folder doesn't wait.
        self._file = os.open(self.path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        weakref.finalize(self, os.close, self._file)

    @property
    def size(self) -> int:
        return os.fstat(self._file).st_size

    async def grow(self, *, is_complete: bool = False, error: Exception | None = None) -> None:
        async with self._grown:
            self.is_complete, self.error = is_complete, error
            self._grown.notify_all()

    async def wait(self, size: int = 0) -> None:
        """Wait until there are more than `size` bytes, or all. Raises the error that ended it early."""
        async with self._grown:
            await self._grown.wait_for(lambda: self.is_complete or self.error or self.size > size)
        if self.error:
            raise self.error

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the file from its beginning as it grows. Raises the error that ended it early."""
        offset, is_last = 0, False
        while not is_last:
            await self.wait(offset)
            is_last = self.is_complete  # asked before reading: a last part that is written now is read too
            while chunk := await contents.in_thread(os.pread, self._file, CHUNK_BYTES, offset):
                offset += len(chunk)
                yield chunk


Makings = dict[tuple[uuid.UUID, str], Making]

# The copies that each event loop makes, or could not make a moment ago, by recording and track.
_makings: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Makings] = weakref.WeakKeyDictionary()


def name_of(pk: uuid.UUID, track: str) -> str:
    """Return a copy's name in the storage."""
    return f"{folder_of(pk)}/{track}.mp4"


def folder_of(pk: uuid.UUID) -> str:
    return f"{ROOT}/{pk.hex[:2]}/{pk}"


def track_of(upload: Upload, given: str | None) -> str:
    """Return the index of the track that a client asks for, or `all`. Raises UnknownTrack."""
    track = tracks.parse(given) or str(upload.track)
    tracks.check(upload.tracks, track)
    return "0" if len(upload.tracks) < 2 else track  # all tracks of one are that one


def channels_of(upload: Upload, track: str) -> int:
    """Return how many channels a copy has: those of the track, or of the one with most of all that are mixed."""
    if not upload.tracks:
        return min(2, upload.channels)
    mixed = upload.tracks if track == tracks.ALL else [upload.tracks[int(track)]]
    return max(1, min(2, max(each["channels"] for each in mixed)))


def find(upload: Upload, track: str) -> Content | None:
    """Return the finished copy of a track. Raises StorageAway."""
    return contents.find(upload.file.storage, name_of(upload.pk, track))


def make(upload: Upload, track: str) -> Making:
    """Return the copy that is being made; start to make it unless that has begun. Raises OSError.

    The work goes on, and its result is stored, when all readers have left.
    """
    makings = _makings.setdefault(asyncio.get_running_loop(), {})
    making = makings.get((upload.pk, track))
    if making is None:
        making = makings[upload.pk, track] = Making()
        making.task = asyncio.create_task(_make(upload, track, making, makings))
    return making


async def _make(upload: Upload, track: str, making: Making, makings: Makings) -> None:
    key, keep_seconds = (upload.pk, track), 0.0
    try:
        async with (
            places.taken(Purpose.LISTEN, upload.owner_id),
            contents.local_path(upload, settings.FILE_UPLOAD_TEMP_DIR) as source,
        ):
            encoded = decoder.encode_copy(source, making.path, channels=channels_of(upload, track), track=track)
            async with aclosing(encoded):
                async for _ in encoded:
                    await making.grow()
        await contents.in_thread(contents.put, upload.file.storage, name_of(upload.pk, track), making.path)
        # The recording was deleted meanwhile: no later step would delete this copy.
        if not await sync_to_async(_exists, thread_sensitive=False)(upload.pk):
            await contents.in_thread(remove, upload.file.storage, upload.pk)
        await making.grow(is_complete=True)
    except Exception as error:  # of any kind: the readers wait, and raise it
        logger.warning("No listening copy of %s: %s", upload.pk, error)
        keep_seconds = FAILED_SECONDS
        await making.grow(error=error)
    finally:
        making.path.unlink(missing_ok=True)
        asyncio.get_running_loop().call_later(keep_seconds, makings.pop, key, None)


def _exists(pk: uuid.UUID) -> bool:
    try:
        return Upload.objects.filter(pk=pk).exists()
    finally:
        connections.close_all()  # of this thread, which no request looks after


def remove(storage: Storage, pk: uuid.UUID) -> None:
    """Remove the copies of a deleted recording. Raises StorageAway and OSError."""
    folder = folder_of(pk)
    try:
        _, names = storage.listdir(folder)
    except FileNotFoundError:
        return
    for name in names:
        storage.delete(f"{folder}/{name}")
    storage.delete(folder)  # on a disk, the folder itself
