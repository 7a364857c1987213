"""Django's upload handler of this site: writes a file to disk and hashes it while its request is being read.

The settings name it in `FILE_UPLOAD_HANDLERS`.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.core.files.uploadhandler import StopUpload, TemporaryFileUploadHandler
from django.http import HttpRequest

if TYPE_CHECKING:
    from django.core.files.uploadedfile import UploadedFile

DISK_ERROR = "uploads.disk_error"  # the key in a request's META of the `OSError` that stopped an upload


class DiskUploadHandler(TemporaryFileUploadHandler):
    """Django's temporary file handler, which also sets the attribute `sha256` (hexadecimal) of each complete file.

    An error of the disk stops the upload. The handler stores the error in the request's META, because Django drops it
    and the view needs it to answer with the reason.
    """

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        self._digest = hashlib.sha256()
        with self._noting_errors():
            super().new_file(*args, **kwargs)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes | None:
        with self._noting_errors():
            super().receive_data_chunk(raw_data, start)
        self._digest.update(raw_data)
        return None

    def file_complete(self, file_size: int) -> "UploadedFile | None":
        with self._noting_errors():  # writing the last buffered bytes may fail too
            complete = super().file_complete(file_size)
        if complete is not None:
            complete.sha256 = self._digest.hexdigest()  # type: ignore[attr-defined]
        return complete

    @contextmanager
    def _noting_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if isinstance(self.request, HttpRequest):
                self.request.META[DISK_ERROR] = error
            if (begun := getattr(self, "file", None)) is not None:
                begun.close()  # deletes the temporary file, which frees its space on the full disk
            raise StopUpload from error
