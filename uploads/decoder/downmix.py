"""Mixes several channels to one without cancelling speech. `resampling.py` and `mixing.py` use it, block by block.

If one channel has reversed polarity (a wrong cable or adapter, a "karaoke" recording), a plain sum of the channels
removes the speech. So each channel is added or subtracted, depending on its correlation with the other channels. The
decision uses only the past, because the decoder reads the recording once.
"""

from collections.abc import Sequence

import numpy as np

BLOCK_SECONDS = 0.1  # the correlation is measured, and the signs can change, once a block
MEMORY = 0.6  # the weight of the earlier blocks' covariance shrinks to this share with each block
# With a weaker correlation the sign stays: channels with nothing in common do not cancel with either sign.
CLEAR_CORRELATION = 0.2
MEASURED_HZ = 2_000  # the correlation is measured at this rate: most of the energy of speech is below half of it
FADE_SECONDS = 0.02  # a change of sign is faded, because a step would be an audible click

# The weights of channels in the mix, as in FFmpeg: speech is in the centre, surround channels are softer, and the bass
# channel contains no speech.
WEIGHTS = {"FC": 1.0, "LFE": 0.0, "LFE2": 0.0, "BL": 0.5, "BR": 0.5, "BC": 0.5, "SL": 0.5, "SR": 0.5}
OTHER_WEIGHT = 0.707


class Downmix:
    """Mixes interleaved 16-bit samples at `rate` (Hz) to one channel.

    `names` are FFmpeg's names of the channels. The weights of the channels add up to `gain`.
    """

    def __init__(self, names: Sequence[str], rate: int, gain: float = 1.0) -> None:
        weights = np.array([WEIGHTS.get(name, OTHER_WEIGHT) for name in names], np.float32)
        self._weights = weights / weights.sum() if weights.any() else np.full(len(names), 1 / len(names), np.float32)
        self._weights *= np.float32(gain)
        self._signs = np.ones(len(names), np.float32)
        self._covariance = np.zeros((len(names), len(names)))
        self._block_bytes = max(1, round(BLOCK_SECONDS * rate)) * len(names) * 2
        self._decimation = max(1, rate // MEASURED_HZ)
        self._fade = max(1, round(FADE_SECONDS * rate))
        self._waiting = bytearray()

    def mix(self, samples: bytes) -> bytes:
        """Add samples and return the mix of all whole blocks; the rest waits for the next call."""
        self._waiting += samples
        size = self._block_bytes
        whole = len(self._waiting) // size * size
        blocks = bytes(self._waiting[:whole])
        del self._waiting[:whole]
        return b"".join(self._mixed(blocks[start : start + size]) for start in range(0, whole, size))

    def flush(self) -> bytes:
        """Return the mix of the last, incomplete block."""
        rest = self._mixed(bytes(self._waiting)) if self._waiting else b""
        self._waiting.clear()
        return rest

    def _mixed(self, block: bytes) -> bytes:
        channels = np.frombuffer(block, "<i2").reshape(-1, len(self._weights)).astype(np.float32)
        before = self._signs * self._weights
        self._follow(channels)
        after = self._signs * self._weights
        mono = channels @ after
        if not np.array_equal(before, after):
            count = min(self._fade, len(mono))
            share = np.linspace(0, 1, count, dtype=np.float32)
            mono[:count] = mono[:count] * share + (channels[:count] @ before) * (1 - share)
        return mono.clip(-32768, 32767).round().astype("<i2").tobytes()

    def _follow(self, channels: np.ndarray) -> None:
        """Update the signs so that the common part of the channels adds up. Starts with the loudest channel."""
        count = len(channels) // self._decimation
        slow = channels[: count * self._decimation].reshape(count, self._decimation, -1).mean(axis=1)
        # The second difference weakens hum, which is in phase even on a wrongly wired line, so that the speech decides.
        changes = np.diff(slow, 2, axis=0)
        self._covariance = MEMORY * self._covariance + changes.T @ changes
        covariance = self._covariance
        loudest_first = np.argsort(-covariance.diagonal(), kind="stable")
        mixed = np.zeros(len(self._weights))  # the signed weights of the channels handled so far
        for channel in loudest_first:
            common = mixed @ covariance[channel]
            scale = np.sqrt(covariance[channel, channel] * (mixed @ covariance @ mixed))
            if abs(common) > CLEAR_CORRELATION * scale:
                self._signs[channel] = 1 if common > 0 else -1
            mixed[channel] = self._signs[channel] * self._weights[channel]
