"""Exports transcripts as a ZIP with a folder for each recording, which has each transcript in every format.

An archive takes two queries and the memory of one transcript, for any number of jobs: it is written to disk.
"""

import asyncio
import re
import uuid
import zipfile
from collections.abc import AsyncIterator, Iterator
from itertools import groupby
from tempfile import SpooledTemporaryFile
from typing import IO

from django.conf import settings
from django.db.models import F, QuerySet
from django.http import StreamingHttpResponse
from django.utils import timezone

from streaming.models import Job, Segment
from streaming.transcript import exports
from uploads import filenames

MEMORY_BYTES = 4 * 1024**2  # a larger archive is moved to disk
PIECE_BYTES = 64 * 1024
NAME_BYTES = 120  # file systems allow 255; this leaves room for a number and the extension
# Characters and names that are special on some system: separators, wildcards, device names.
FORBIDDEN = re.compile(r'[<>:"/\\|?*]')
DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


class Pieces:
    """Iterates over a file as a response body, reading in threads. Closing the response closes the file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.close = file.close

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await asyncio.to_thread(self._file.read, PIECE_BYTES):
            yield piece


def response(jobs: QuerySet[Job]) -> StreamingHttpResponse:
    """Return the archive as a download. Closing the response deletes the temporary file."""
    file: IO[bytes] = SpooledTemporaryFile(MEMORY_BYTES, dir=settings.FILE_UPLOAD_TEMP_DIR)  # noqa: SIM115 see Pieces
    try:
        write(jobs, file)
        size = file.tell()
        file.seek(0)
    except BaseException:
        file.close()
        raise
    answer = StreamingHttpResponse(Pieces(file), content_type="application/zip")
    answer["Content-Length"] = size
    answer["Content-Disposition"] = 'attachment; filename="transcripts.zip"'
    return answer


def write(jobs: QuerySet[Job], file: IO[bytes]) -> None:
    """Write the archive of these jobs, oldest first, to `file`. Leaves the position at the end."""
    folders: dict[uuid.UUID, str] = {}
    taken: set[str] = set()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for job, segments in transcripts(jobs):
            stem = safe_name(exports.stem(job))
            if job.upload_id not in folders:
                folders[job.upload_id] = unique(stem, taken)
            so_far = " (so far)" if job.is_active else ""
            path = unique(f"{folders[job.upload_id]}/{stem}{so_far}", taken)
            written_at = timezone.localtime(job.finished_at or timezone.now()).timetuple()[:6]
            for name in exports.FORMATS:
                entry = zipfile.ZipInfo(f"{path}.{name}", written_at)
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, exports.write(job, segments, name))


def transcripts(jobs: QuerySet[Job]) -> Iterator[tuple[Job, list[Segment]]]:
    """Yield each job with its segments, by iterating over two queries in the same order."""
    wanted = jobs.order_by("created_at", "pk").select_related("upload").defer("upload__peaks")
    found = Segment.objects.filter(job__in=jobs.order_by().values("pk")).annotate(began_at=F("job__created_at"))
    in_order = found.order_by("began_at", "job_id", "start_time", "seq").iterator()
    groups = groupby(in_order, key=lambda segment: (segment.began_at, segment.job_id))
    key, group = next(groups, (None, None))
    for job in wanted.iterator():
        # Skip the segments of a job that was deleted between the two queries.
        while key is not None and key < (job.created_at, job.pk):
            key, group = next(groups, (None, None))
        yield job, [*group] if group is not None and key == (job.created_at, job.pk) else []


def safe_name(name: str) -> str:
    """Return a file name that every system accepts, made from any text."""
    cut = FORBIDDEN.sub("-", filenames.cleaned(name)).encode()[:NAME_BYTES].decode(errors="ignore").strip(". ")
    return f"_{cut}" if DEVICES.fullmatch(cut) else cut or filenames.NAMELESS


def unique(path: str, taken: set[str]) -> str:
    """Return `path`, with a number if it is in `taken`, and add it there. Ignores case, as some file systems do."""
    number, found = 1, path
    while found.casefold() in taken:
        number += 1
        found = f"{path} ({number})"
    taken.add(found.casefold())
    return found
