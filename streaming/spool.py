"""The spool: an upload decoded once into raw PCM on disk, read from any sample while it is still growing.

The runner opens one for each attempt; engines read it. It is deleted when the attempt ends.
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
BLOCK_CHUNKS = 10  # read at a time, so that a chunk costs no system call of its own
MOST_DECODERS = 6  # in a process; each takes 40 MB, and a core for as long as it lasts
SAMPLE_BYTES = 2  # 16-bit little-endian


_decoders: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


def decoders() -> asyncio.Semaphore:
    """Return what lets `MOST_DECODERS` run at once: a worker may have hundreds of jobs, and begin them all together."""
    return _decoders.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(MOST_DECODERS))


class Spool:
    """16-bit PCM of one upload: `sample_rate` in Hz, `channels` interleaved, of the audio `track` (or `all` mixed).

    `samples` are those decoded so far (a channel), `position` the seconds that readers have reached.
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
        """Decode `source` into the spool. The readers get a failure after the samples that came before it.

        However this ends, it ends the readers: they would otherwise never stop waiting.
        """
        try:
            decoded = decoder.decode(
                source, self.path, sample_rate=self.sample_rate, channels=self.channels, track=self.track
            )
            async with decoders(), aclosing(decoded):
                async for samples in decoded:
                    await self._grow(samples, is_complete=False)
        except Exception as error:  # of any kind: the readers raise it
            self._error = error
            # The samples that the decoder wrote since its last message are good too.
            with suppress(OSError):  # the spool was removed, which the readers notice themselves
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

        Waits where the decoder has not come yet. Raises `DecodingError` where it failed, after all that it
        had decoded, and `OSError` where the spool can't be read.
        """
        frame = SAMPLE_BYTES * self.channels
        size = round(self.sample_rate * CHUNK_SECONDS)
        sample = round(start_time * self.sample_rate)
        # Opened here and not in a thread: cancelled in that moment, it would stay open. It is a file of our own disk.
        with open(self.path, "rb") as opened:  # noqa: ASYNC230
            file = AIOFile.from_fp(opened)
            while True:
                async with self._grown:
                    while not self.is_complete and self.samples < sample + size:
                        await self._grown.wait()
                count = min(self.samples - sample, size * BLOCK_CHUNKS)
                if not self.is_complete:
                    count -= count % size  # a chunk that is not whole yet can wait
                if count <= 0:
                    if self._error is not None:
                        raise self._error
                    return
                block = await file.read_bytes(count * frame, offset=sample * frame)
                if len(block) < count * frame:  # another program has cut the file short, or the disk fails
                    raise OSError(errno.EIO, "The decoded audio is incomplete on the disk")
                for offset in range(0, len(block), size * frame):
                    chunk = block[offset : offset + size * frame]
                    sample += len(chunk) // frame
                    self.position = max(self.position, sample / self.sample_rate)
                    yield chunk


@asynccontextmanager
async def open_spool(upload: Upload, folder: Path, channels: int = 1, track: str = "") -> AsyncIterator[Spool]:
    """Start decoding a job's `track` of `upload` into a file in `folder`; stop and delete it at the end."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    sample_rate, _ = upload.audio_of(track)
    # What is in a bucket is copied first, which takes its time.
    async with (
        storage.local_path(upload, folder) as source,
        open_spool_of_file(source, sample_rate, folder, channels, upload.decoded_track(track)) as spool,
    ):
        yield spool


@asynccontextmanager
async def open_spool_of_file(
    source: Path, sample_rate: int, folder: Path, channels: int = 1, track: str = "0"
) -> AsyncIterator[Spool]:
    """Do the same with the file at `source`, whose `track` was recorded at `sample_rate` (Hz)."""
    # A telephone's 8 kHz gain nothing from being 16.
    spool = Spool(folder / f"{uuid.uuid4()}.pcm", 8_000 if sample_rate == 8_000 else 16_000, channels, track)
    try:
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        spool.path.touch()  # a reader may come before the decoder
        filling = asyncio.create_task(spool.fill(source))
        try:
            yield spool
        finally:
            filling.cancel()
            await asyncio.gather(filling, return_exceptions=True)  # its own end kills the decoder
    finally:
        spool.path.unlink(missing_ok=True)
