"""The decoder's encoder: writes the audio of a recording as AAC in MP4, the listening copy.

Called by `__main__.py listen`. Sample n of the copy is sample n of the spool: both come from the same blocks of
samples, and an edit list tells players to skip the priming samples of the encoder.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Any

import av

from uploads.decoder.resampling import LAYOUTS

# One rate for every recording: at 24 kHz and less, decoders disagree on whether AAC is to be doubled (SBR).
RATE = 48_000  # Hz
BIT_RATES = {1: 64_000, 2: 96_000}
# Fragments can be played while the rest is encoded. At the end FFmpeg turns the file into one with an index for all
# of it (`hybrid_fragmented`): measured, neither Firefox nor WebKit can seek in fragments, and Chromium reads the
# whole file before it plays any. `delay_moov` with `use_editlist` writes the edit list into the first header too.
CONTAINER = {
    "movflags": "delay_moov+default_base_moof+hybrid_fragmented",
    "use_editlist": "1",
    "frag_duration": "1000000",  # microseconds
}


class Output:
    """Writes to an open descriptor; FFmpeg calls it. `error` is the first error of the disk."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.error: OSError | None = None

    def write(self, content: bytes) -> int:
        waiting = memoryview(content)
        try:
            while waiting:
                waiting = waiting[os.write(self._descriptor, waiting) :]  # a nearly full disk stores only a part
        except OSError as error:
            self.error = self.error or error
            raise
        return len(content)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return os.lseek(self._descriptor, offset, whence)

    def tell(self) -> int:
        return os.lseek(self._descriptor, 0, os.SEEK_CUR)


def encode(blocks: Iterable[bytes], channels: int, descriptor: int, on_progress: Callable[[int], None]) -> None:
    """Write blocks of interleaved 16-bit samples at `RATE` to a file, and report how many samples have been encoded."""
    output = Output(descriptor)
    try:
        _encode(blocks, channels, output, on_progress)
    except Exception as error:  # of any kind: FFmpeg may report an error of the disk as one of its own
        if output.error is None:
            raise
        raise output.error from error


def _encode(blocks: Iterable[bytes], channels: int, output: Output, on_progress: Callable[[int], None]) -> None:
    # The file is ours and stdout is a regular file, so FFmpeg may go back to its beginning at the end.
    with av.open(output, "w", format="mp4", options=CONTAINER) as container:
        # The faster search for quantisers takes a third of the time; in speech the difference is inaudible.
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
    """Yield blocks as frames, and None at the end, which flushes the resampler."""
    for block in blocks:
        if block:
            frame = av.AudioFrame(format="s16", layout=LAYOUTS[channels], samples=len(block) // (2 * channels))
            memoryview(frame.planes[0])[: len(block)] = block  # a plane may be longer than its samples
            frame.sample_rate = RATE
            yield frame
    yield None
