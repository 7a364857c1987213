"""Transcripts as a ZIP: a folder a recording, and in it each transcript in every format.

However many jobs are wanted, it takes two queries and the memory of one transcript: the archive grows on disk.
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

MEMORY_BYTES = 4 * 1024**2  # of an archive, before it goes to disk
PIECE_BYTES = 64 * 1024
NAME_BYTES = 120  # leaves room for the number and the ending, where 255 are allowed
# What some system takes for the end of a name, for a folder or for a device.
FORBIDDEN = re.compile(r'[<>:"/\\|?*]')
DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


class Pieces:
    """A file as the body of a response, read in threads; closed with the response."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.close = file.close

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await asyncio.to_thread(self._file.read, PIECE_BYTES):
            yield piece


def response(jobs: QuerySet[Job]) -> StreamingHttpResponse:
    """Return the archive to be downloaded. It is on disk, without a name, until the response is closed."""
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
    """Write the archive of these jobs, oldest first, to `file`, which is left at its end."""
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
    """Yield each job with its segments, from two queries that are read side by side."""
    wanted = jobs.order_by("created_at", "pk").select_related("upload").defer("upload__peaks")
    said = Segment.objects.filter(job__in=jobs.order_by().values("pk")).annotate(began_at=F("job__created_at"))
    in_order = said.order_by("began_at", "job_id", "start_time", "seq").iterator()
    groups = groupby(in_order, key=lambda segment: (segment.began_at, segment.job_id))
    key, group = next(groups, (None, None))
    for job in wanted.iterator():
        # What is left behind belongs to a job that was deleted between the two queries.
        while key is not None and key < (job.created_at, job.pk):
            key, group = next(groups, (None, None))
        yield job, [*group] if group is not None and key == (job.created_at, job.pk) else []


def safe_name(name: str) -> str:
    """Return a name that is the name of one file on every system, whatever was given."""
    cut = FORBIDDEN.sub("-", filenames.cleaned(name)).encode()[:NAME_BYTES].decode(errors="ignore").strip(". ")
    return f"_{cut}" if DEVICES.fullmatch(cut) else cut or filenames.NAMELESS


def unique(path: str, taken: set[str]) -> str:
    """Return `path`, numbered where it is taken (on systems that don't tell apart capitals either), and take it."""
    number, found = 1, path
    while found.casefold() in taken:
        number += 1
        found = f"{path} ({number})"
    taken.add(found.casefold())
    return found
