"""Converts a recording to 16-bit samples at a given rate and number of channels. Runs only in the decoder's process."""

from collections.abc import Iterator

import av

from uploads.decoder.audio_track import Recording
from uploads.decoder.placement import frames

LAYOUTS = {1: "mono", 2: "stereo"}


def pcm(recording: Recording, rate: int, channels: int) -> Iterator[bytes]:
    """Yield the whole recording as interleaved 16-bit samples; sample n is at n / rate seconds of the recording.

    Yields b"" for a packet that can't be decoded, so that the caller can report progress.
    """
    converter, shape = None, None
    for frame in frames(recording):
        if frame is None:
            yield b""
            continue
        frame.pts = None  # the frames are gapless already, so the resampler must not compensate for timestamps
        if shape != (frame.format.name, frame.layout.name, frame.sample_rate) or converter is None:
            # The first frame, or the format changes within the file: recordings were joined.
            yield converter.flush() if converter else b""
            converter = Converter(frame.layout, rate, channels)
            shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        yield converter.convert(frame)
    yield converter.flush() if converter else b""


class Converter:
    """Converts frames of one format. `downmix` mixes several channels to one without cancelling speech."""

    def __init__(self, layout: av.AudioLayout, rate: int, channels: int) -> None:
        self._downmix, self._copies = None, 1
        # FFmpeg calls a layout without speaker positions "4 channels", for example that of a four-track recorder.
        is_placed = not layout.name.endswith(" channels")
        if layout.nb_channels > 1 and (channels == 1 or (layout.nb_channels > 2 and not is_placed)):
            # Inline: it imports NumPy, which takes a tenth of a second, and most recordings don't need it.
            from uploads.decoder.downmix import Downmix

            self._downmix, self._copies = Downmix([channel.name for channel in layout.channels], rate), channels
            self._frame_bytes = 2 * layout.nb_channels
            self._resampler = av.AudioResampler("s16", layout, rate)
        else:
            self._frame_bytes = 2 * channels
            self._resampler = av.AudioResampler("s16", LAYOUTS[channels], rate)

    def convert(self, frame: av.AudioFrame | None) -> bytes:
        """Return the samples that are ready. None flushes the resampler."""
        pieces = self._resampler.resample(frame)
        # A plane's buffer is longer than its samples.
        samples = b"".join(memoryview(piece.planes[0])[: piece.samples * self._frame_bytes] for piece in pieces)
        return self._copied(self._downmix.mix(samples)) if self._downmix else samples

    def flush(self) -> bytes:
        rest = self.convert(None)
        return rest + self._copied(self._downmix.flush()) if self._downmix else rest

    def _copied(self, mono: bytes) -> bytes:
        """Return the mono samples repeated for each output channel (one or two)."""
        if self._copies == 1:
            return mono
        copied = bytearray(len(mono) * 2)
        for byte in range(4):
            copied[byte::4] = mono[byte % 2 :: 2]
        return bytes(copied)
