"""A recording's life: stored, renamed, deleted. For views, commands and the admin; nothing here knows a request."""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings
from django.core.files import File
from django.core.files.storage import Storage
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import IntegrityError, OperationalError, transaction

from uploads import db_connections, file_types, filenames, listening_copies
from uploads.decoder import client as decoder
from uploads.files.disk_errors import is_full
from uploads.files.storage import StorageAway, StorageRefused
from uploads.models import Upload
from uploads.templatetags import formats

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

logger = logging.getLogger(__name__)

STORAGE_AWAY = "The storage of the recordings can't be reached now. Nothing was stored; try again in a while."
DISK_FULL = "The server's disk is full. Nothing was stored; try again later."
MIN_SAMPLE_RATE = 2_000  # Hz; a small file of less would be hours of nothing
MIN_SECONDS = 0.1  # less is no recording; what looks like one by chance is mostly shorter


class RecordingRefused(Exception):
    """A recording is not taken. The text is a sentence for a person, `status` the HTTP status that says the same."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def store(owner: "User | AnonymousUser", file: File, name: str) -> Upload:
    """Check a file, store it under a name of our own and return its row. `name` is what it is called, nothing more.

    Raises RecordingRefused for a file that is empty, too large, too long or no recording, and when the disk is
    full, or it or the storage away. Then nothing is left behind.
    """
    assert owner.pk is not None  # views let nobody in who isn't signed in
    _check_size(file.size or 0)
    db_connections.release()  # copying, decoding and a bucket may take minutes
    try:
        with _movable(file) as (movable, sha256):
            found = _probe(Path(movable.temporary_file_path()), owner.pk)
            name = filenames.typed(name) or filenames.NAMELESS
            upload = Upload(owner_id=owner.pk, name=name, size=movable.size or 0, sha256=sha256, **vars(found))
            _save(upload, movable)
    except StorageRefused as error:
        raise RecordingRefused(f"{error} Nothing was stored.", 503) from error
    except StorageAway as error:
        raise RecordingRefused(STORAGE_AWAY, 503) from error
    except IntegrityError as error:
        raise RecordingRefused("Your account was deleted. Nothing was stored.", 403) from error
    except (OSError, OperationalError) as error:
        if isinstance(error, OperationalError) and not is_full(error):
            raise
        raise refused_by(error) from error
    return upload


def refused_by(error: OSError | OperationalError) -> RecordingRefused:
    """Return the refusal for a disk that takes nothing more: full, gone, or only to be read."""
    logger.error("A recording can't be stored: %s", error)
    return RecordingRefused(DISK_FULL, 507) if is_full(error) else RecordingRefused(STORAGE_AWAY, 503)


@contextmanager
def _movable(file: File) -> Iterator[tuple[TemporaryUploadedFile, str]]:
    """Give a file that can be moved into the storage, and its SHA-256. It is removed after, unless it was moved.

    An upload is one already, and was hashed while it arrived (`upload_handler.py`). Others, as the sample, are copied.
    """
    if isinstance(file, TemporaryUploadedFile) and hasattr(file, "sha256"):
        with file:
            yield file, file.sha256
        return
    with TemporaryUploadedFile("recording", "", 0, None) as copy:
        for chunk in file.chunks():
            copy.write(chunk)
        copy.size = copy.tell()
        _check_size(copy.size)  # `file.size` need not be true
        copy.seek(0)
        yield copy, hashlib.file_digest(copy, "sha256").hexdigest()


def _check_size(size: int) -> None:
    if not size:
        raise RecordingRefused("This file is empty.")
    if size > settings.MAX_UPLOAD_BYTES:
        limit = formats.size(settings.MAX_UPLOAD_BYTES)
        raise RecordingRefused(
            f"This file is larger than the limit of {limit}. A compressed copy (M4A, MP3, OGG) may fit.", 413
        )


def _probe(path: Path, person: int) -> decoder.Probe:
    try:
        found = decoder.probe(path, person)
    except decoder.DecoderNotStarted as error:
        raise RecordingRefused(str(error), 503) from error
    except decoder.DecodingError as error:
        reason = str(error)
        if reason == file_types.UNREADABLE:  # FFmpeg doesn't say what it is; a look at it may
            with open(path, "rb") as file:
                reason = file_types.what_it_is(file.read(512)) or reason
        raise RecordingRefused(f"{reason} {file_types.WHAT_WORKS}", 415) from error
    if found.duration < MIN_SECONDS:
        raise RecordingRefused(f"There is next to no sound in this file. {file_types.WHAT_WORKS}", 415)
    if found.sample_rate < MIN_SAMPLE_RATE:
        raise RecordingRefused(f"The sample rate ({found.sample_rate:,} Hz) is too low. {file_types.WHAT_WORKS}", 415)
    if found.duration > settings.MAX_AUDIO_SECONDS:
        hours = settings.MAX_AUDIO_SECONDS / 3600
        most = f"{hours:g} hour{'' if hours == 1 else 's'}"
        raise RecordingRefused(f"This recording is longer than {most}. Cut it into parts and send each.", 413)
    return found


def _save(upload: Upload, copy: TemporaryUploadedFile) -> None:
    storage = upload.file.storage
    try:
        upload.file.save(upload.name, copy, save=False)
        upload.save(force_insert=True)
    except BaseException:
        # A full disk, a database that says no, a shutdown: a file without a row would stay for ever.
        _remove(storage, upload.file.field.generate_filename(upload, upload.name))
        raise


def _remove(storage: Storage, name: str) -> None:
    """Remove a file that no row has any more. One that can't be now is found by `manage.py sweep_files` later."""
    db_connections.release()  # called after the commit; a bucket may not answer
    try:
        storage.delete(name)
    except (StorageAway, OSError) as error:
        logger.error("The file %s has no recording any more and can't be removed: %s", name, error)


def _remove_copies(storage: Storage, pk: UUID) -> None:
    try:
        listening_copies.remove(storage, pk)
    except (StorageAway, OSError) as error:  # as in `_remove`
        logger.error("The listening copies of %s, which was deleted, can't be removed: %s", pk, error)


def rename(upload: Upload, name: str) -> None:
    """Give a recording another name. Raises RecordingRefused if nothing of `name` can be shown."""
    typed = filenames.typed(name)
    if not typed:
        raise RecordingRefused("A recording needs a name.")
    upload.name = typed
    if not Upload.objects.filter(pk=upload.pk).update(name=typed):
        raise RecordingRefused("This recording was deleted.", 404)


def delete(upload: Upload) -> None:
    """Delete a recording and all that hangs on it: first the rows, in one transaction, then the file."""
    storage, pk, name = upload.file.storage, upload.pk, str(upload.file.name)
    with transaction.atomic():
        upload.delete()
        # Only after the commit: a row without its file would be worse than a file without its row.
        transaction.on_commit(lambda: _remove(storage, name), robust=True)
        transaction.on_commit(lambda: _remove_copies(storage, pk), robust=True)
