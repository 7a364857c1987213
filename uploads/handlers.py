"""Where a file goes while its request is still being read."""

from typing import TYPE_CHECKING, Any

from django.core.files.uploadhandler import StopUpload, TemporaryFileUploadHandler
from django.http import HttpRequest

if TYPE_CHECKING:
    from django.core.files.uploadedfile import UploadedFile

DISK_ERROR = "uploads.disk_error"  # in a request's META: the `OSError` that ended it


class DiskUploadHandler(TemporaryFileUploadHandler):
    """Django's, for files of any size; an error of the disk ends the file and is noted, so that the view can say it."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().new_file(*args, **kwargs)
        except OSError as error:
            raise self._noted(error) from error

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes | None:
        try:
            return super().receive_data_chunk(raw_data, start)
        except OSError as error:
            raise self._noted(error) from error

    def file_complete(self, file_size: int) -> "UploadedFile | None":
        try:
            return super().file_complete(file_size)
        except OSError as error:  # what was buffered did not fit either
            raise self._noted(error) from error

    def _noted(self, error: OSError) -> StopUpload:
        if isinstance(self.request, HttpRequest):
            self.request.META[DISK_ERROR] = error
        if (begun := getattr(self, "file", None)) is not None:
            begun.close()  # which gives the space back
        return StopUpload()
