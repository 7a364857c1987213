"""All audio tracks of a file mixed on one timeline. Only the decoder calls this.

The file is opened once: an index of each track for each track would take too much memory.
"""

from collections.abc import Iterator

import av

from uploads import tracks
from uploads.demux import Demuxer, Refused, opened
from uploads.resampling import pcm
from uploads.sound import Recording

BLOCK_SECONDS = 0.5  # mixed at a time


class Mix:
    """The tracks of an open file, to be read once from the start as if they were one recording."""

    def __init__(self, path: str) -> None:
        self.container = opened(path)
        self._parts: list[Recording] = []
        for track in range(min(tracks.MOST, len(self.container.streams.audio))):
            try:
                self._parts.append(Recording(self.container, track))
            except Refused:
                continue  # a track of a kind that can't be decoded: the others are mixed
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
        """Return the first frame of the first track that has one. Raises Refused if none has."""
        for part in self._parts:
            try:
                return part.first_frame()
            except Refused as error:
                refusal = error
        raise refusal

    def pcm(self, rate: int, channels: int) -> Iterator[bytes]:
        """Yield all tracks mixed, as `resampling.pcm` does one. A track that has ended is silent from there."""
        reading = dict(enumerate(pcm(part, rate, channels) for part in self._parts))
        waiting = [bytearray() for _ in self._parts]
        block = round(BLOCK_SECONDS * rate) * 2 * channels
        while reading:
            # The shortest: all tracks advance together, however long the pieces of each are.
            last = min(reading, key=lambda number: len(waiting[number]))
            piece = next(reading[last], None)
            if piece is None:
                del reading[last]
            else:
                waiting[last] += piece
            ready = min(len(waiting[number]) for number in reading) if reading else max(map(len, waiting))
            yield mixed(waiting, ready) if ready >= block or not reading else b""


def mixed(waiting: list[bytearray], length: int) -> bytes:
    """Take `length` bytes of each track and return their sum, clipped at full scale."""
    import numpy as np  # takes a tenth of a second, and only a mix needs it

    total = np.zeros(length // 2, np.int32)
    for samples in waiting:
        taken = samples[:length]
        del samples[:length]
        total[: len(taken) // 2] += np.frombuffer(taken, "<i2")
    return total.clip(-32768, 32767).astype("<i2").tobytes()
