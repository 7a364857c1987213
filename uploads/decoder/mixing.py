"""Mixes all audio tracks of a file on one timeline without cancelling speech. Runs only in the decoder's process.

The file is opened once for all tracks. Opening it once for each track would build an index of all tracks each time,
which takes too much memory.
"""

from collections.abc import Iterator

import av

from uploads import tracks
from uploads.decoder.audio_track import Recording
from uploads.decoder.demux import Demuxer, Refused, opened
from uploads.decoder.resampling import pcm

BLOCK_SECONDS = 0.5  # the least length that is mixed at once, except at the end


class Mix:
    """The tracks of an open file, which can be read once from the start as if they were one `Recording`."""

    def __init__(self, path: str) -> None:
        self.container = opened(path)
        self._parts: list[Recording] = []
        for track in range(min(tracks.MAX_TRACKS, len(self.container.streams.audio))):
            try:
                self._parts.append(Recording(self.container, track))
            except Refused:
                continue  # this track has an unknown codec; the other tracks are still mixed
        if not self._parts:
            raise Refused("There are only audio tracks in this file of kinds that can't be decoded.")
        demuxer = Demuxer(self.container, [part.stream for part in self._parts])
        for part in self._parts:
            part.demuxer = demuxer

    def __enter__(self) -> "Mix":
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()

    @property
    def skipped(self) -> int:
        return sum(part.skipped for part in self._parts)

    @property
    def skipped_seconds(self) -> float:
        return sum(part.skipped_seconds for part in self._parts)

    def refusal(self) -> Refused:
        return self._parts[0].refusal()

    def first_frame(self) -> av.AudioFrame:
        """Return the first frame of the first track that has one. Raises Refused if no track has one."""
        for part in self._parts:
            try:
                return part.first_frame()
            except Refused as error:
                refusal = error
        raise refusal

    def pcm(self, rate: int, channels: int) -> Iterator[bytes]:
        """Yield the mix of all tracks in the format of `resampling.pcm`. A track that has ended counts as silent."""
        reading = dict(enumerate(pcm(part, rate, channels) for part in self._parts))
        waiting = [bytearray() for _ in self._parts]
        mixer = Mixer(len(self._parts), rate, channels)
        block = round(BLOCK_SECONDS * rate) * 2 * channels
        while reading:
            # Read the track with the least audio in `waiting`. All tracks then advance together, although their pieces
            # differ in length.
            last = min(reading, key=lambda number: len(waiting[number]))
            piece = next(reading[last], None)
            if piece is None:
                del reading[last]
            else:
                waiting[last] += piece
            ready = min(len(waiting[number]) for number in reading) if reading else max(map(len, waiting))
            yield mixer.mix(waiting, ready) if ready >= block or not reading else b""
        yield mixer.flush()


class Mixer:
    """Adds the interleaved 16-bit samples of several tracks and clips the sum at full scale.

    A track that is an inverted copy of another would cancel it. So `Downmix` finds a sign for each track.
    """

    def __init__(self, tracks: int, rate: int, channels: int) -> None:
        # Inline: it imports NumPy, which takes a tenth of a second, and only a mix needs it.
        from uploads.decoder.downmix import Downmix

        self._channels = channels
        self._sides = [Downmix([""] * tracks, rate, gain=tracks) for _ in range(channels)]

    def mix(self, waiting: list[bytearray], length: int) -> bytes:
        """Remove `length` bytes from each track in `waiting`, mix them, and return the part of the mix that is ready.

        A track with fewer bytes has ended, and is silent from there on.
        """
        import numpy as np  # inline: as in the constructor

        taken = np.zeros((length // (2 * self._channels), self._channels, len(waiting)), "<i2")
        for track, samples in enumerate(waiting):
            part = np.frombuffer(bytes(samples[:length]), "<i2").reshape(-1, self._channels)
            taken[: len(part), :, track] = part
            del samples[:length]
        return self._joined([side.mix(taken[:, number].tobytes()) for number, side in enumerate(self._sides)])

    def flush(self) -> bytes:
        """Return the last part of the mix."""
        return self._joined([side.flush() for side in self._sides])

    def _joined(self, sides: list[bytes]) -> bytes:
        import numpy as np  # inline: as in the constructor

        return np.stack([np.frombuffer(side, "<i2") for side in sides], axis=1).tobytes()
