"""The spool: a recording decoded once into raw PCM on disk, which engines read from any sample while it grows.

Each attempt opens its own spool, which is deleted when the attempt ends. The `transcribe` command uses one too.
"""

import asyncio
import errno
import os
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from weakref import WeakKeyDictionary

from aiofile import AIOFile

from uploads.decoder import client as decoder
from uploads.files import storage
from uploads.models import Upload

CHUNK_SECONDS = 0.1
BLOCK_CHUNKS = 10  # chunks per read, to save system calls
MOST_DECODERS = 6  # at once in a process; each uses 40 MB and a whole core
SAMPLE_BYTES = 2  # 16-bit little-endian


_decoders: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


def decoders() -> asyncio.Semaphore:
    """Return the semaphore for `MOST_DECODERS`: a worker may start hundreds of jobs at the same moment."""
    return _decoders.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(MOST_DECODERS))


class Spool:
    """16-bit PCM of one upload: `sample_rate` in Hz, `channels` interleaved, of the audio `track` (or `all` mixed).

    `samples` is the number of samples per channel decoded so far; `position` is how far (seconds) engines have read.
    """

    def __init__(self, path: Path, sample_rate: int, channels: int, track: str = "0") -> None:
        self.path = path
        self.track = track
        self.sample_rate = sample_rate
        self.channels = channels
        self.samples = 0
        self.is_complete = False
        self.position = 0.0
        self._error: Exception | None = None
        self._grown = asyncio.Condition()

    @property
    def seconds(self) -> float:
        """Seconds decoded so far; the true length of the recording once `is_complete`."""
        return self.samples / self.sample_rate

    async def fill(self, source: Path) -> None:
        """Decode `source` into the spool. If decoding fails, `chunks` raises the error after the samples before it.

        However this ends, it marks the spool as complete; otherwise `chunks` would never end.
        """
        try:
            decoded = decoder.decode(
                source, self.path, sample_rate=self.sample_rate, channels=self.channels, track=self.track
            )
            async with decoders(), aclosing(decoded):
                async for samples in decoded:
                    await self._grow(samples, is_complete=False)
        except Exception as error:  # of any class: `chunks` raises it
            self._error = error
            # The decoder may have written samples since its last message. They are valid too.
            with suppress(OSError):  # the spool was deleted; reading it fails by itself
                written = os.stat(self.path).st_size // (SAMPLE_BYTES * self.channels)
                self.samples = max(self.samples, written)
        finally:
            await self._grow(self.samples, is_complete=True)

    async def _grow(self, samples: int, *, is_complete: bool) -> None:
        async with self._grown:
            self.samples, self.is_complete = samples, is_complete
            self._grown.notify_all()

    async def chunks(self, start_time: float = 0.0) -> AsyncGenerator[bytes, None]:
        """Yield chunks of `CHUNK_SECONDS` from `start_time` (seconds) on; the last one may be shorter.

        Waits for samples that are not decoded yet. Raises `DecodingError` if the decoder failed, after all samples
        that it had decoded, and `OSError` if the spool can't be read. Several readers may run at once.
        """
        frame = SAMPLE_BYTES * self.channels
        size = round(self.sample_rate * CHUNK_SECONDS)
        sample = round(start_time * self.sample_rate)
        # Not opened in a thread: a cancellation during the opening would leak the file. A local file opens at once.
        with open(self.path, "rb") as opened:  # noqa: ASYNC230
            file = AIOFile.from_fp(opened)
            while True:
                async with self._grown:
                    while not self.is_complete and self.samples < sample + size:
                        await self._grown.wait()
                count = min(self.samples - sample, size * BLOCK_CHUNKS)
                if not self.is_complete:
                    count -= count % size  # leave an incomplete chunk for the next read
                if count <= 0:
                    if self._error is not None:
                        raise self._error
                    return
                block = await file.read_bytes(count * frame, offset=sample * frame)
                if len(block) < count * frame:  # another program truncated the file, or the disk fails
                    raise OSError(errno.EIO, "The decoded audio is incomplete on the disk")
                for offset in range(0, len(block), size * frame):
                    chunk = block[offset : offset + size * frame]
                    sample += len(chunk) // frame
                    self.position = max(self.position, sample / self.sample_rate)
                    yield chunk


@asynccontextmanager
async def open_spool(upload: Upload, folder: Path, channels: int = 1, track: str = "") -> AsyncIterator[Spool]:
    """Start decoding a job's `track` of `upload` into a new file in `folder`. At the end stop decoding and delete it.

    Raises `StorageAway` and `StorageRefused` if the recording can't be read.
    """
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    sample_rate, _ = upload.audio_of(track)
    # A recording in a bucket is copied to the folder first, which may take long.
    async with (
        storage.local_path(upload, folder) as source,
        open_spool_of_file(source, sample_rate, folder, channels, upload.decoded_track(track)) as spool,
    ):
        yield spool


@asynccontextmanager
async def open_spool_of_file(
    source: Path, sample_rate: int, folder: Path, channels: int = 1, track: str = "0"
) -> AsyncIterator[Spool]:
    """Do the same as `open_spool` for a local file whose `track` has a sample rate of `sample_rate` (Hz)."""
    # Telephone recordings stay at 8 kHz, because resampling adds no information. All others become 16 kHz.
    spool = Spool(folder / f"{uuid.uuid4()}.pcm", 8_000 if sample_rate == 8_000 else 16_000, channels, track)
    try:
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        spool.path.touch()  # an engine may open the file before the decoder creates it
        filling = asyncio.create_task(spool.fill(source))
        try:
            yield spool
        finally:
            filling.cancel()
            await asyncio.gather(filling, return_exceptions=True)  # wait: its cancellation terminates the decoder
    finally:
        spool.path.unlink(missing_ok=True)
