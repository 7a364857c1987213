"""Makes the waveforms of recordings: decodes the peaks of a track once, in the background, and draws them as SVG.

No request waits for a decoder: pages show a flat line until the peaks are stored. A process makes one waveform at a
time, and owners take turns (`slots.py`).
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
from uploads.decoder.slots import Purpose, slots
from uploads.files import storage
from uploads.models import TrackWaveform, Upload
from uploads.tracks import ALL

logger = logging.getLogger(__name__)

SMALL = 80  # the number of peaks in a small picture
FLAT = bytes(2)  # peaks that are drawn as a flat line, for a recording without stored ones
FAILED_SECONDS = 60.0  # the pause after a failure: pages request the waveform every few seconds

Key = tuple[uuid.UUID, str]


Tasks = dict[Key, "asyncio.Task[None]"]

# For each event loop, the waveforms that it is making, or failed to make a moment ago.
_tasks: WeakKeyDictionary[asyncio.AbstractEventLoop, Tasks] = WeakKeyDictionary()


def other_track(upload: Upload, track: str) -> str:
    """Return the track if its waveform is stored in `TrackWaveform`; "" for the chosen or only track."""
    is_other = track not in ("", str(upload.track)) and (track != ALL or len(upload.tracks) > 1)
    return track if is_other else ""


def peaks_of(upload: Upload, track: str = "") -> bytes | None:
    """Return the stored peaks of a track, 0 to 255, or None if there are none yet. Needs at most one query."""
    if not (other := other_track(upload, track)):
        return None if upload.peaks is None else bytes(upload.peaks)
    stored = TrackWaveform.objects.filter(upload_id=upload.pk, track=other).values_list("peaks", flat=True).first()
    return None if stored is None else bytes(stored)


def make(upload: Upload, track: str = "") -> "asyncio.Task[None]":
    """Start to make a waveform on the running event loop and return its task, which no caller needs to await.

    While the waveform is being made, and for `FAILED_SECONDS` after a failure, later calls return the same task.
    """
    tasks, key = _tasks.setdefault(asyncio.get_running_loop(), {}), (upload.pk, other_track(upload, track))
    if key not in tasks:
        tasks[key] = asyncio.create_task(_make(upload, key, tasks))
    return tasks[key]


async def _make(upload: Upload, key: Key, tasks: Tasks) -> None:
    (pk, track), keep_seconds = key, 0.0
    try:
        # Wait for the slot before copying the file: copies of recordings in a bucket must not pile up on the disk.
        async with (
            slots.acquire(Purpose.WAVEFORM, upload.owner_id),
            storage.local_path(upload, settings.FILE_UPLOAD_TEMP_DIR) as path,
        ):
            found = await decoder.find_peaks(path, upload.decoded_track(track))
        # A thread of the pool: the request that started this task, and its thread, may have ended.
        await sync_to_async(_keep, thread_sensitive=False)(key, found)
    except (decoder.DecodingError, storage.StorageAway, storage.StorageRefused, OSError, DatabaseError) as error:
        # The file can't be decoded or read now, the disk has no room for a copy, or the database is unavailable.
        logger.warning("Could not make the waveform of the recording %s: %s", pk, error)
        keep_seconds = FAILED_SECONDS
    finally:
        asyncio.get_running_loop().call_later(keep_seconds, tasks.pop, key, None)


def _keep(key: Key, found: decoder.Waveform) -> None:
    """Store a waveform. For the chosen track also store the exact duration and the seconds of undecodable audio."""
    pk, track = key
    try:
        if track:
            TrackWaveform.objects.get_or_create(upload_id=pk, track=track, defaults={"peaks": found.peaks})
        else:
            Upload.objects.filter(pk=pk).update(**found._asdict())
    finally:
        connections.close_all()  # this thread belongs to no request, so Django would never close its connections


def picture(peaks: bytes, *, is_small: bool = False) -> str:
    """Return the peaks as an SVG that stretches to its container, in a grey that shows in the light and dark theme.

    A small picture joins several peaks to their maximum: a thousand would blur when they are drawn 100 pixels wide.
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
