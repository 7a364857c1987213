"""The waveform of a recording's track: its peaks, decoded once in the background, and the picture made of them.

No request waits for a decoder: until the peaks are stored a page shows a flat line. A process makes one waveform at a
time, for one person after the other (`slots.py`).
"""

import asyncio
import logging
import uuid
from itertools import pairwise
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import DatabaseError, connections

from uploads.decoder import client as decoder
from uploads.decoder.slots import Purpose, places
from uploads.files import storage
from uploads.models import TrackWaveform, Upload
from uploads.tracks import ALL

logger = logging.getLogger(__name__)

SMALL = 80  # points
FLAT = bytes(2)  # the peaks of a recording that has none yet
FAILED_SECONDS = 60.0  # after a failure before the next attempt: pages ask again every few seconds

Key = tuple[uuid.UUID, str]


Tasks = dict[Key, "asyncio.Task[None]"]

# The waveforms that each event loop is making, or could not make a moment ago.
_tasks: WeakKeyDictionary[asyncio.AbstractEventLoop, Tasks] = WeakKeyDictionary()


def other_track(upload: Upload, track: str) -> str:
    """Return the track whose waveform is stored beside the recording; empty for the chosen or only one."""
    is_other = track not in ("", str(upload.track)) and (track != ALL or len(upload.tracks) > 1)
    return track if is_other else ""


def peaks_of(upload: Upload, track: str = "") -> bytes | None:
    """Return the stored peaks, 0 to 255, of equal parts of a track; None where there are none yet. At most a query."""
    if not (other := other_track(upload, track)):
        return None if upload.peaks is None else bytes(upload.peaks)
    stored = TrackWaveform.objects.filter(upload_id=upload.pk, track=other).values_list("peaks", flat=True).first()
    return None if stored is None else bytes(stored)


def make(upload: Upload, track: str = "") -> "asyncio.Task[None]":
    """Start to make a waveform on the running event loop; return its task.

    While it is being made, and for a while after a failure, later calls return the same task. The task continues when
    no caller waits for it.
    """
    tasks, key = _tasks.setdefault(asyncio.get_running_loop(), {}), (upload.pk, other_track(upload, track))
    if key not in tasks:
        tasks[key] = asyncio.create_task(_make(upload, key, tasks))
    return tasks[key]


async def _make(upload: Upload, key: Key, tasks: Tasks) -> None:
    (pk, track), keep_seconds = key, 0.0
    try:
        # The place first: a recording in a bucket is copied, and copies must not pile up.
        async with (
            places.taken(Purpose.WAVEFORM, upload.owner_id),
            storage.local_path(upload, settings.FILE_UPLOAD_TEMP_DIR) as path,
        ):
            found = await decoder.find_peaks(path, upload.decoded_track(track))
        # A thread of its own: the request that began this, and the thread that belongs to it, may be gone.
        await sync_to_async(_keep, thread_sensitive=False)(key, found)
    except (decoder.DecodingError, storage.StorageAway, storage.StorageRefused, OSError, DatabaseError) as error:
        # The file can't be decoded or reached now, there is no room for a copy of it, or the database is away.
        logger.warning("No waveform of %s: %s", pk, error)
        keep_seconds = FAILED_SECONDS
    finally:
        asyncio.get_running_loop().call_later(keep_seconds, tasks.pop, key, None)


def _keep(key: Key, found: decoder.Waveform) -> None:
    """Store a waveform; of the chosen track the exact duration and the length of the damage too."""
    pk, track = key
    try:
        if track:
            TrackWaveform.objects.get_or_create(upload_id=pk, track=track, defaults={"peaks": found.peaks})
        else:
            Upload.objects.filter(pk=pk).update(**found._asdict())
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
