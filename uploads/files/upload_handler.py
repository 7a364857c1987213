"""Where a file goes while its request is still being read."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.core.files.uploadhandler import StopUpload, TemporaryFileUploadHandler
from django.http import HttpRequest

if TYPE_CHECKING:
    from django.core.files.uploadedfile import UploadedFile

DISK_ERROR = "uploads.disk_error"  # in a request's META: the `OSError` that ended it


class DiskUploadHandler(TemporaryFileUploadHandler):
    """Django's, for files of any size, with the SHA-256 of each file as its attribute `sha256`.

    An error of the disk ends the file and is noted, so that the view can name it.
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
        with self._noting_errors():  # what was buffered may not fit either
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
                begun.close()  # which gives the space back
            raise StopUpload from error
