"""What is in a recording's file, wherever it is stored: on this machine's disk, or in a bucket.

The views read parts of it, decoders need it at a path. Nothing here holds more than a piece in memory.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from aiofile import async_open
from django.conf import settings
from django.core.files import File
from django.core.files.storage import Storage

from uploads.decoder.client import DecodingError
from uploads.files.ranges import Range
from uploads.models import Upload

CHUNK_BYTES = 256 * 1024
PIECE_BYTES = 2 * 1024**2  # requested from a bucket at a time: a slow client must not keep a connection to it open
MISSING = "The file of this recording is missing. Delete the recording, and upload it again if you still have it."
INCOMPLETE = "The storage has only a part of this recording's file. Upload it again, or restore it from a backup."

Parameters = ParamSpec("Parameters")
Value = TypeVar("Value")

# Threads of its own: a bucket that is slow must not hold up what else a process does in threads.
_executor = ThreadPoolExecutor(16, thread_name_prefix="storage")


class StorageAway(Exception):
    """The storage of the recordings can't be reached, or refuses. It may pass."""

    def __init__(self) -> None:
        super().__init__("The storage of the recordings can't be reached now.")


class StorageRefused(StorageAway):
    """The storage refuses this file, and would again. The text is a sentence for a person."""

    def __init__(self, sentence: str) -> None:
        Exception.__init__(self, sentence)


@dataclass(frozen=True)
class OnDisk:
    path: Path

    @property
    def size(self) -> int:
        return os.stat(self.path).st_size

    def read(self, part: Range) -> bytes:
        with open(self.path, "rb") as file:
            file.seek(part.start)
            return file.read(part.length)

    async def chunks(self, part: Range) -> AsyncGenerator[bytes, None]:
        async with async_open(self.path, "rb") as file:
            file.seek(part.start)
            left = part.length
            while left:
                chunk = await file.read(min(CHUNK_BYTES, left))
                if not chunk:
                    return  # the file was deleted and cut short; the client sees that something is missing
                left -= len(chunk)
                yield chunk


@dataclass(frozen=True)
class InBucket:
    storage: Any  # a BucketStorage: its module, and all of boto3, are loaded only where there is a bucket
    name: str
    size: int

    def read(self, part: Range) -> bytes:
        content: bytes = self.storage.read_part(self.name, part.start, part.stop)
        return content

    async def chunks(self, part: Range) -> AsyncGenerator[bytes, None]:
        for start in range(part.start, part.stop, PIECE_BYTES):
            piece = await in_thread(self.read, Range(start, min(start + PIECE_BYTES, part.stop)))
            for offset in range(0, len(piece), CHUNK_BYTES):
                yield piece[offset : offset + CHUNK_BYTES]


# Both have `size` (bytes), `read` for a small part, and `chunks` for one of any size, which ends early where the file
# does. Reading raises `FileNotFoundError` where nothing is, `StorageAway`, and its kind `StorageRefused`.
Content = OnDisk | InBucket


def content_of(upload: Upload) -> Content:
    """Return what reads the file of a recording. Asks nobody yet whether it is there."""
    storage: Storage = upload.file.storage
    try:
        return OnDisk(Path(upload.file.path))
    except NotImplementedError:  # how a storage says that its files are not on this machine
        return InBucket(storage, str(upload.file.name), upload.size)


def find(storage: Storage, name: str) -> Content | None:
    """Return what reads a stored file, or None where there is none. Raises `StorageAway`."""
    try:
        path = Path(storage.path(name))
    except NotImplementedError:
        try:
            return InBucket(storage, name, storage.size(name))
        except FileNotFoundError:
            return None
    return OnDisk(path) if path.is_file() else None


def put(storage: Storage, name: str, source: Path) -> None:
    """Store a file of this machine under `name` in place of any other: whole, or not at all.

    On a disk `source` is moved. Raises `StorageAway` and `OSError`.
    """
    try:
        target = Path(storage.path(name))
    except NotImplementedError:
        with open(source, "rb") as file:
            storage.save(name, File(file))  # an object appears when all of it has arrived, and replaces another
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if os.stat(source).st_dev == os.stat(target.parent).st_dev:
        os.replace(source, target)
        return
    # Between two disks a rename copies, and readers would see half a file.
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as copy:
        try:
            with open(source, "rb") as file:
                shutil.copyfileobj(file, copy)
            os.replace(copy.name, target)
        except BaseException:
            os.unlink(copy.name)
            raise


def check() -> None:
    """Ask whether a recording could be stored now. Raises `StorageAway` and `OSError`."""
    _check_folder(settings.FILE_UPLOAD_TEMP_DIR)  # where every upload begins
    storage: Any = Upload._meta.get_field("file").storage
    if hasattr(storage, "check"):  # a BucketStorage
        storage.check()
    else:
        os.makedirs(storage.location, exist_ok=True)  # which the first recording would do
        _check_folder(storage.location)


def _check_folder(folder: str | Path) -> None:
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"is there room?")  # a disk that is full, or may only be read, ends it


async def in_thread(
    function: Callable[Parameters, Value], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Value:
    """Return what `function` does, in one of the threads for the storage."""
    return await asyncio.get_running_loop().run_in_executor(_executor, lambda: function(*args, **kwargs))


@asynccontextmanager
async def local_path(upload: Upload, folder: Path) -> AsyncIterator[Path]:
    """Give a path on this machine with a recording's file: its own, or that of a copy in `folder`, deleted after.

    Raises `DecodingError` where there is no file, `StorageAway`, `StorageRefused`, and `OSError` on a full disk.
    """
    content = content_of(upload)
    if isinstance(content, OnDisk):
        yield content.path
        return
    # In the folder that is swept when a process was killed. Copied a piece at a time, so that it can be cancelled.
    with tempfile.NamedTemporaryFile(dir=folder, prefix="copy-") as copy:
        try:
            copied = 0
            async with aclosing(content.chunks(Range(0, content.size))) as chunks:
                async for chunk in chunks:
                    await in_thread(copy.write, chunk)
                    copied += len(chunk)
        except FileNotFoundError as error:
            raise DecodingError(MISSING, is_final=True) from error
        if copied < content.size:
            raise StorageRefused(INCOMPLETE)
        await in_thread(copy.flush)
        yield Path(copy.name)
