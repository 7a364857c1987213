"""Stores, renames and deletes recordings. Views, commands and the admin call it, so it depends on no HTTP request."""

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
MIN_SAMPLE_RATE = 2_000  # Hz; with less, no speech is intelligible and a small file would be hours long
MIN_SECONDS = 0.1  # random data that happens to look like audio is mostly shorter


class RecordingRefused(Exception):
    """The site refuses a recording or a change to it. The text is a sentence for people, `status` an HTTP status."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def store(owner: "User | AnonymousUser", file: File, name: str) -> Upload:
    """Check and store a file and return its row. `name` is shown to people; the file's path does not depend on it.

    Raises RecordingRefused for a file that is empty, too large, too long or not a recording, and if the disk is full or
    the storage unavailable. Then neither a file nor a row is left.
    """
    assert owner.pk is not None  # the login middleware refuses anonymous requests
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
        raise disk_refusal(error) from error
    return upload


def disk_refusal(error: OSError | OperationalError) -> RecordingRefused:
    """Return the refusal for an error of the disk: 507 if it is full, 503 if it is missing or read-only."""
    logger.error("Could not store a recording: %s", error)
    return RecordingRefused(DISK_FULL, 507) if is_full(error) else RecordingRefused(STORAGE_AWAY, 503)


@contextmanager
def _movable(file: File) -> Iterator[tuple[TemporaryUploadedFile, str]]:
    """Provide a file that can be moved into the storage, and its SHA-256. Deletes it afterwards if it was not moved.

    An uploaded file is used as it is: the upload handler hashed it while it arrived. Other files, such as the sample,
    are copied to a temporary file.
    """
    if isinstance(file, TemporaryUploadedFile) and hasattr(file, "sha256"):
        with file:
            yield file, file.sha256
        return
    with TemporaryUploadedFile("recording", "", 0, None) as copy:
        for chunk in file.chunks():
            copy.write(chunk)
        copy.size = copy.tell()
        _check_size(copy.size)  # the declared `file.size` may be wrong
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
        if reason == file_types.UNREADABLE:  # FFmpeg does not identify other files; their first bytes may
            with open(path, "rb") as file:
                reason = file_types.identify(file.read(512)) or reason
        # Do not suggest another format if decoding failed for want of memory or time.
        if error.is_final and reason != file_types.INCOMPLETE:
            reason = f"{reason} {file_types.SUPPORTED}"
        raise RecordingRefused(reason, 415) from error
    if found.duration < MIN_SECONDS:
        raise RecordingRefused("This file contains almost no audio.", 415)
    if found.sample_rate < MIN_SAMPLE_RATE:
        raise RecordingRefused(f"The sample rate ({found.sample_rate:,} Hz) is too low.", 415)
    if found.duration > settings.MAX_AUDIO_SECONDS:
        hours = settings.MAX_AUDIO_SECONDS / 3600
        most = f"{hours:g} hour{'' if hours == 1 else 's'}"
        raise RecordingRefused(f"This recording is longer than {most}. Split it and upload each part.", 413)
    return found


def _save(upload: Upload, copy: TemporaryUploadedFile) -> None:
    storage = upload.file.storage
    try:
        upload.file.save(upload.name, copy, save=False)
        upload.save(force_insert=True)
    except BaseException:
        # Of any type (a full disk, an error of the database, a shutdown): a file without a row would never be deleted.
        _remove(storage, upload.file.field.generate_filename(upload, upload.name))
        raise


def _remove(storage: Storage, name: str) -> None:
    """Remove the file of a deleted row. If that fails, the file stays until `manage.py sweep_files` removes it."""
    db_connections.release()  # the transaction is committed, and a bucket may take long to answer
    try:
        storage.delete(name)
    except (StorageAway, OSError) as error:
        logger.error("Could not remove the file %s of a deleted recording: %s", name, error)


def _remove_copies(storage: Storage, pk: UUID) -> None:
    try:
        listening_copies.remove(storage, pk)
    except (StorageAway, OSError) as error:  # `sweep_files` removes them later, as in `_remove`
        logger.error("Could not remove the listening copies of the deleted recording %s: %s", pk, error)


def rename(upload: Upload, name: str) -> None:
    """Rename a recording. Raises RecordingRefused if `name` has no visible character or the recording is deleted."""
    typed = filenames.typed(name)
    if not typed:
        raise RecordingRefused("A recording needs a name.")
    upload.name = typed
    if not Upload.objects.filter(pk=upload.pk).update(name=typed):
        raise RecordingRefused("This recording was deleted.", 404)


def delete(upload: Upload) -> None:
    """Delete a recording: first its row and the rows that refer to it, in one transaction, then its files."""
    storage, pk, name = upload.file.storage, upload.pk, str(upload.file.name)
    with transaction.atomic():
        upload.delete()
        # The files go only after the commit: a row without its file would be worse than a file without its row.
        transaction.on_commit(lambda: _remove(storage, name), robust=True)
        transaction.on_commit(lambda: _remove_copies(storage, pk), robust=True)
