"""The waveform of a recording: its peaks, decoded once when somebody first looks, and the picture made of them."""

import asyncio
import logging
import uuid
from dataclasses import dataclass, field
from itertools import pairwise
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import DatabaseError, connections

from uploads import contents, decoding
from uploads.models import Upload

logger = logging.getLogger(__name__)

SMALL = 80  # points
FLAT = bytes(2)  # the peaks of a recording that has none (yet)


@dataclass
class Work:
    """What one event loop decodes: one at a time, so that a page full of new recordings doesn't take the machine."""

    turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    tasks: dict[uuid.UUID, "asyncio.Task[bytes]"] = field(default_factory=dict)


_work: WeakKeyDictionary[asyncio.AbstractEventLoop, Work] = WeakKeyDictionary()


async def peaks_of(upload: Upload) -> bytes:
    """Return the peaks, 0 to 255, of equal parts of a recording. Raises DecodingError, StorageAway and OSError.

    The first to ask for them starts the decoding; others who ask meanwhile wait for the same one. It goes on, and
    is stored, when they all have left.
    """
    if upload.peaks is not None:
        return bytes(upload.peaks)
    work = _work.setdefault(asyncio.get_running_loop(), Work())
    task = work.tasks.get(upload.pk)
    if task is None:
        task = work.tasks[upload.pk] = asyncio.create_task(_find(upload, work))
    return await asyncio.shield(task)


async def _find(upload: Upload, work: Work) -> bytes:
    try:
        async with work.turn, contents.local_path(upload, settings.FILE_UPLOAD_TEMP_DIR) as path:
            found = await decoding.find_peaks(path)
        # A thread of its own: the request that began this, and the thread that belongs to it, may be gone.
        await sync_to_async(_keep, thread_sensitive=False)(upload.pk, found)
    finally:
        del work.tasks[upload.pk]
    return found.peaks


def _keep(pk: uuid.UUID, found: decoding.Waveform) -> None:
    """Store a waveform with the exact duration and the length of the damage, which only decoding all of it shows."""
    try:
        Upload.objects.filter(pk=pk).update(**found._asdict())
    except DatabaseError as error:
        logger.warning("The waveform of %s is not kept: %s", pk, error)  # it can be shown all the same
    finally:
        connections.close_all()  # of this thread, which no request looks after


def picture(peaks: bytes, *, is_small: bool = False) -> str:
    """Return an SVG that fills whatever it is put into; grey enough for paper and for night.

    In a small one, each point is the loudest of several: a thousand would be a haze a hundred pixels wide.
    """
    if is_small and len(peaks) > SMALL:
        starts = [part * len(peaks) // SMALL for part in range(SMALL + 1)]
        peaks = bytes(max(peaks[start:stop]) for start, stop in pairwise(starts))
    count = len(peaks)
    heights = [max(0.5, peak * 50 / 255) for peak in peaks]
    above = [f"{x + 0.5:g},{50 - height:.1f}" for x, height in enumerate(heights)]
    below = [f"{x + 0.5:g},{50 + height:.1f}" for x, height in enumerate(heights)]
    outline = " ".join(["0,49.5", *above, f"{count},49.5", f"{count},50.5", *reversed(below), "0,50.5"])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {count} 100" preserveAspectRatio="none">'
        f'<polygon fill="#767676" points="{outline}"/></svg>'
    )
