"""A recording as 16-bit samples at the rate and with the channels that an engine wants. Only the decoder calls this."""

from collections.abc import Iterator

import av

from uploads.placing import frames
from uploads.sound import Recording

LAYOUTS = {1: "mono", 2: "stereo"}


def pcm(recording: Recording, rate: int, channels: int) -> Iterator[bytes]:
    """Yield all of it as interleaved 16-bit samples; sample n is at n / rate seconds of the recording.

    Yields b"" for what can't be decoded, so that the caller can show that it is alive.
    """
    resampler, shape = None, None
    for frame in frames(recording):
        if frame is None:
            yield b""
            continue
        if frame.layout.nb_channels > 2 and frame.layout.name.endswith(" channels"):
            frame = mixed_down(frame)
        frame.pts = None  # its place is known, and the resampler must not look for another
        if shape != (frame.format.name, frame.layout.name, frame.sample_rate):
            # The first frame, or recordings that were joined.
            yield resampled(resampler, None, channels)
            resampler = av.AudioResampler("s16", LAYOUTS[channels], rate)
            shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        yield resampled(resampler, frame, channels)
    yield resampled(resampler, None, channels)


def mixed_down(frame: av.AudioFrame) -> av.AudioFrame:
    """Return the mean of the channels of a frame that doesn't say where they belong, as of a four-track recorder."""
    import numpy as np  # takes a tenth of a second, and is rarely needed

    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype.kind in "iu":
        samples = samples / 2.0 ** (8 * samples.dtype.itemsize - 1) - (samples.dtype.kind == "u")
    mono = av.AudioFrame.from_ndarray(samples.mean(axis=0, keepdims=True).astype(np.float32), "fltp", "mono")
    mono.sample_rate = frame.sample_rate
    return mono


def resampled(resampler: av.AudioResampler | None, frame: av.AudioFrame | None, channels: int) -> bytes:
    """Return what the resampler gives for `frame` (None: what it still holds)."""
    pieces = resampler.resample(frame) if resampler else []
    # A plane is longer than its sound.
    return b"".join(memoryview(piece.planes[0])[: piece.samples * channels * 2] for piece in pieces)
