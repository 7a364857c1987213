"""A recording as 16-bit samples at the rate and with the channels that an engine wants. Only the decoder calls this."""

from collections.abc import Iterator

import av

from uploads.decoder.audio_track import Recording
from uploads.decoder.placement import frames

LAYOUTS = {1: "mono", 2: "stereo"}


def pcm(recording: Recording, rate: int, channels: int) -> Iterator[bytes]:
    """Yield all of it as interleaved 16-bit samples; sample n is at n / rate seconds of the recording.

    Yields b"" for what can't be decoded, so that the caller can show that it is alive.
    """
    converter, shape = None, None
    for frame in frames(recording):
        if frame is None:
            yield b""
            continue
        frame.pts = None  # its place is known, and the resampler must not look for another
        if shape != (frame.format.name, frame.layout.name, frame.sample_rate) or converter is None:
            # The first frame, or recordings that were joined.
            yield converter.flush() if converter else b""
            converter = Converter(frame.layout, rate, channels)
            shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        yield converter.convert(frame)
    yield converter.flush() if converter else b""


class Converter:
    """Converts frames of one kind. Several channels become one by `downmix`, which keeps speech from cancelling."""

    def __init__(self, layout: av.AudioLayout, rate: int, channels: int) -> None:
        self._downmix, self._copies = None, 1
        is_placed = not layout.name.endswith(" channels")  # those of a four-track recorder, for one, are not
        if layout.nb_channels > 1 and (channels == 1 or (layout.nb_channels > 2 and not is_placed)):
            from uploads.decoder.downmix import (
                Downmix,  # with NumPy it takes a tenth of a second, which most don't need
            )

            self._downmix, self._copies = Downmix([channel.name for channel in layout.channels], rate), channels
            self._frame_bytes = 2 * layout.nb_channels
            self._resampler = av.AudioResampler("s16", layout, rate)
        else:
            self._frame_bytes = 2 * channels
            self._resampler = av.AudioResampler("s16", LAYOUTS[channels], rate)

    def convert(self, frame: av.AudioFrame | None) -> bytes:
        """Return the samples that are ready. None: those that the resampler still holds."""
        pieces = self._resampler.resample(frame)
        # A plane is longer than its samples.
        samples = b"".join(memoryview(piece.planes[0])[: piece.samples * self._frame_bytes] for piece in pieces)
        return self._copied(self._downmix.mix(samples)) if self._downmix else samples

    def flush(self) -> bytes:
        rest = self.convert(None)
        return rest + self._copied(self._downmix.flush()) if self._downmix else rest

    def _copied(self, mono: bytes) -> bytes:
        """Return one channel as often as channels are wanted."""
        if self._copies == 1:
            return mono
        copied = bytearray(len(mono) * 2)
        for byte in range(4):
            copied[byte::4] = mono[byte % 2 :: 2]
        return bytes(copied)
