"""Where a file goes while its request is still being read."""

import errno
from typing import TYPE_CHECKING

from django.core.files.uploadhandler import StopUpload, TemporaryFileUploadHandler
from django.http import HttpRequest

if TYPE_CHECKING:
    from django.core.files.uploadedfile import UploadedFile

DISK_IS_FULL = "uploads.disk_is_full"  # in a request's META


class DiskUploadHandler(TemporaryFileUploadHandler):
    """Django's, for files of any size; a full disk ends the file and is noted, so that the view can say it."""

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes | None:
        try:
            return super().receive_data_chunk(raw_data, start)
        except OSError as error:
            raise self._full(error) from error

    def file_complete(self, file_size: int) -> "UploadedFile | None":
        try:
            return super().file_complete(file_size)
        except OSError as error:  # what was buffered did not fit either
            raise self._full(error) from error

    def _full(self, error: OSError) -> BaseException:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            return error
        if isinstance(self.request, HttpRequest):
            self.request.META[DISK_IS_FULL] = True
        self.file.close()  # which gives the space back
        return StopUpload()
