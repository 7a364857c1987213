"""Reads and writes the files of recordings, on the local disk or in a bucket, with the same interface for both.

Views read ranges of a file. Decoders need the file at a local path, and get a temporary copy of one from a bucket.
Files are read in pieces, so a file of any size needs little memory.
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
# The server requests pieces of this size from a bucket and holds one in memory, so that a slow client does not keep a
# connection to the bucket open.
PIECE_BYTES = 2 * 1024**2
MISSING = "The file of this recording is missing. Delete the recording, and upload it again if you still have it."
INCOMPLETE = "The storage has only a part of this recording's file. Upload it again, or restore it from a backup."

Parameters = ParamSpec("Parameters")
Value = TypeVar("Value")

# A separate pool: a slow bucket must not occupy the threads that the process needs for other work.
_executor = ThreadPoolExecutor(16, thread_name_prefix="storage")


class StorageAway(Exception):
    """The storage of the recordings can't be reached or failed to answer. A later retry may succeed."""

    def __init__(self) -> None:
        super().__init__("The storage of the recordings can't be reached now.")


class StorageRefused(StorageAway):
    """The storage refuses access to this file, and a retry would fail too. The text is a sentence for people."""

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
                    # The file became shorter meanwhile. The client notices by the Content-Length.
                    return
                left -= len(chunk)
                yield chunk


@dataclass(frozen=True)
class InBucket:
    storage: Any  # a BucketStorage; importing its class here would load boto3 in sites without a bucket
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


# Both classes have `size` in bytes, `read` for a small range, and `chunks` for a range of any size. `chunks` ends early
# if the file does. Reading raises `FileNotFoundError`, `StorageAway` or its subclass `StorageRefused`.
Content = OnDisk | InBucket


def content_of(upload: Upload) -> Content:
    """Return a reader for the file of a recording. Does not check whether the file exists."""
    storage: Storage = upload.file.storage
    try:
        return OnDisk(Path(upload.file.path))
    except NotImplementedError:  # Django's storages raise it from `path` if their files are not on the local disk
        return InBucket(storage, str(upload.file.name), upload.size)


def find(storage: Storage, name: str) -> Content | None:
    """Return a reader for a stored file, or None if the file does not exist. Raises `StorageAway`."""
    try:
        path = Path(storage.path(name))
    except NotImplementedError:
        try:
            return InBucket(storage, name, storage.size(name))
        except FileNotFoundError:
            return None
    return OnDisk(path) if path.is_file() else None


def put(storage: Storage, name: str, source: Path) -> None:
    """Store a local file under `name`, replacing an existing file atomically: no reader sees half a file.

    Moves `source` if the storage is on the same disk. Raises `StorageAway` and `OSError`.
    """
    try:
        target = Path(storage.path(name))
    except NotImplementedError:
        with open(source, "rb") as file:
            storage.save(name, File(file))  # S3 replaces an object only after it has received all of the new one
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if os.stat(source).st_dev == os.stat(target.parent).st_dev:
        os.replace(source, target)
        return
    # A file can't be renamed across disks. Copy it to the target's disk under a temporary name first, then rename it:
    # copying straight to the target would show readers half a file.
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as copy:
        try:
            with open(source, "rb") as file:
                shutil.copyfileobj(file, copy)
            os.replace(copy.name, target)
        except BaseException:  # KeyboardInterrupt and SystemExit too: the temporary file must not stay
            os.unlink(copy.name)
            raise


def check() -> None:
    """Check that a recording could be stored now. `transcribe_site/health.py` calls it for the readiness endpoint.

    Raises `StorageAway` and `OSError`.
    """
    _check_folder(settings.FILE_UPLOAD_TEMP_DIR)  # every upload is written there first
    storage: Any = Upload._meta.get_field("file").storage
    if hasattr(storage, "check"):  # a BucketStorage
        storage.check()
    else:
        os.makedirs(storage.location, exist_ok=True)  # on a new site the folder is missing until the first upload
        _check_folder(storage.location)


def _check_folder(folder: str | Path) -> None:
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"is there room?")  # raises OSError if the disk is full or read-only


async def in_thread(
    function: Callable[Parameters, Value], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Value:
    """Call `function` in one of the storage's threads and return its result."""
    return await asyncio.get_running_loop().run_in_executor(_executor, lambda: function(*args, **kwargs))


@asynccontextmanager
async def local_path(upload: Upload, folder: Path) -> AsyncIterator[Path]:
    """Provide a local path of a recording's file: its own path, or that of a temporary copy in `folder`.

    Raises `DecodingError` if the file does not exist, `StorageAway`, `StorageRefused`, and `OSError` on a full disk.
    """
    content = content_of(upload)
    if isinstance(content, OnDisk):
        yield content.path
        return
    # In `folder`, because the site deletes old files there: a killed process would leave its copy behind. The file is
    # copied in pieces, so that the copying can be cancelled between two of them.
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
