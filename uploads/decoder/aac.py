"""Encodes the audio of a recording as AAC in MP4: the listening copy. `__main__.py listen` calls it.

Sample n of the copy is sample n of the spool: both come from the same blocks of samples, and an edit list makes
players skip the priming samples of the encoder.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Any

import av

from uploads.decoder.resampling import LAYOUTS

# The same rate for every recording: at 24 kHz and less, decoders disagree on whether to double the rate (implicit SBR).
RATE = 48_000  # Hz
BIT_RATES = {1: 64_000, 2: 96_000}
# Players can play fragments while the rest is encoded. At the end FFmpeg adds one index for the whole file
# (`hybrid_fragmented`), because Firefox and WebKit can't seek in fragments, and Chromium reads a whole fragmented file
# before it plays (both were measured). `delay_moov` and `use_editlist` put the edit list into the first header too.
CONTAINER = {
    "movflags": "delay_moov+default_base_moof+hybrid_fragmented",
    "use_editlist": "1",
    "frag_duration": "1000000",  # microseconds
}


class Output:
    """A file object that FFmpeg writes to, over an open descriptor. `error` is the first error of the disk."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.error: OSError | None = None

    def write(self, content: bytes) -> int:
        waiting = memoryview(content)
        try:
            while waiting:
                waiting = waiting[os.write(self._descriptor, waiting) :]  # a nearly full disk accepts only a part
        except OSError as error:
            self.error = self.error or error
            raise
        return len(content)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return os.lseek(self._descriptor, offset, whence)

    def tell(self) -> int:
        return os.lseek(self._descriptor, 0, os.SEEK_CUR)


def encode(blocks: Iterable[bytes], channels: int, descriptor: int, on_progress: Callable[[int], None]) -> None:
    """Encode blocks of interleaved 16-bit samples at `RATE` into the file `descriptor`.

    Calls `on_progress` with the number of samples (of each channel) encoded so far. Raises OSError if the disk fails.
    """
    output = Output(descriptor)
    try:
        _encode(blocks, channels, output, on_progress)
    except Exception as error:  # any type: FFmpeg may report an error of the disk as one of its own
        if output.error is None:
            raise
        raise output.error from error


def _encode(blocks: Iterable[bytes], channels: int, output: Output, on_progress: Callable[[int], None]) -> None:
    # Standard output is a regular file that only this process writes, so FFmpeg can seek in it to write the index.
    with av.open(output, "w", format="mp4", options=CONTAINER) as container:
        # The fast quantiser search takes a third of the time. In speech the difference is inaudible.
        options = {"aac_coder": "fast"}
        stream: Any = container.add_stream("aac", rate=RATE, layout=LAYOUTS[channels], options=options)
        stream.bit_rate = BIT_RATES[channels]
        stream.codec_context.open()
        size = stream.codec_context.frame_size
        resampler = av.AudioResampler(stream.format, LAYOUTS[channels], RATE, frame_size=size)
        samples = 0
        for frame in _frames(blocks, channels):
            for part in resampler.resample(frame):
                part.pts, part.time_base = samples, Fraction(1, RATE)
                samples += part.samples
                container.mux(stream.encode(part))
            on_progress(samples)
        container.mux(stream.encode(None))


def _frames(blocks: Iterable[bytes], channels: int) -> Iterator[av.AudioFrame | None]:
    """Yield each block as a frame, and None at the end, which flushes the resampler."""
    for block in blocks:
        if block:
            frame = av.AudioFrame(format="s16", layout=LAYOUTS[channels], samples=len(block) // (2 * channels))
            memoryview(frame.planes[0])[: len(block)] = block  # a plane may be longer than its samples
            frame.sample_rate = RATE
            yield frame
    yield None
