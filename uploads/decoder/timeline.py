"""Where the samples of a recording belong: sample n of the spool is at n / rate seconds of the recording.

`audio_track.py` places packets (to find the length) and decoded frames (to make the spool) by the same rules.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from statistics import median
from typing import Generic, NamedTuple, TypeVar

# Most containers round times to a millisecond, and the shortest usual packet has 20 ms. Deviations in between add up.
TOLERANCE_SECONDS = 0.005
# A recorder's clock jitters by some milliseconds and a damaged file has single wrong times. A time counts only if the
# most of the pieces after it agree: to follow each one would cut the audio into clicks.
AGREEING_PIECES = 3
LONGEST_HOLE_SECONDS = 3600.0  # a longer one is a mistake in the file
# A transport or program stream restarts its clock at each splice. FFmpeg's own limit for it (dts_delta_threshold).
LONGEST_SPLICE_SECONDS = 10.0
# Pieces that overlap by more are a second recording, and are appended: their words must not be lost.
LONGEST_OVERLAP_SECONDS = 0.5
# A file that begins later by its own clock, and has nothing before it, is a piece of a longer recording.
LATEST_START_SECONDS = 60.0
LONGEST_SHIFT_SECONDS = 0.5

Content = TypeVar("Content")


class Piece(NamedTuple, Generic[Content]):
    """Some audio with the time that the file gives it, in seconds. Without one it follows the piece before it."""

    start: float | None
    seconds: float
    content: Content


class Placed(NamedTuple, Generic[Content]):
    """What becomes of a piece: `gap` seconds of silence before it, or `cut` seconds less at its beginning."""

    gap: float
    cut: float
    seconds: float  # that are left of it
    content: Content


class Timeline:
    """Places the pieces of one audio track. `zero` is the file's time of the first sample."""

    def __init__(self, zero: float, *, is_spliced: bool = False) -> None:
        self.clock = zero  # the file's time of the next sample
        self.is_spliced = is_spliced
        self.has_begun = False

    def place(self, pieces: Iterable[Piece[Content]]) -> Iterator[Placed[Content]]:
        """Yield each piece with its place, in their order. Reads three pieces ahead."""
        held: deque[Piece[Content]] = deque()
        for piece in pieces:
            held.append(piece)
            if len(held) > AGREEING_PIECES:
                yield self._place_first(held)
        while held:
            yield self._place_first(held)

    def _place_first(self, held: deque[Piece[Content]]) -> Placed[Content]:
        late = self._deviation(held)
        piece = held.popleft()
        is_splice = self.is_spliced and self.has_begun and abs(late) > LONGEST_SPLICE_SECONDS
        gap = cut = 0.0
        if is_splice or not -LONGEST_OVERLAP_SECONDS <= late <= LONGEST_HOLE_SECONDS:
            self.clock += late  # the file counts from another time now
        elif late > 0:
            gap = late
        else:
            cut = min(-late, piece.seconds)
        self.has_begun = True
        self.clock += gap + piece.seconds - cut
        return Placed(gap, cut, piece.seconds - cut, piece.content)

    def _deviation(self, held: deque[Piece[Content]]) -> float:
        """Return by how many seconds the first piece comes late (negative: early), as far as the next ones agree."""
        first = held[0].start
        if first is None or abs(first - self.clock) <= TOLERANCE_SECONDS:
            return 0.0
        deviations, clock = [], self.clock
        for piece in held:
            if piece.start is not None:
                deviations.append(piece.start - clock)
            clock += piece.seconds
        first, *others = deviations
        agreeing = [each for each in others if abs(each) > TOLERANCE_SECONDS and (each > 0) == (first > 0)]
        if 2 * len(agreeing) < len(others):
            return 0.0
        # In a pause each packet comes later than the one before: the first of them says how much is missing here.
        return min(first, median(agreeing), key=abs) if agreeing else first


def zero(starts: Iterable[tuple[float, float]], *, is_absolute: bool) -> float:
    """Return the file's time of a recording's first sample.

    `starts` has, for each track of audio or video, the time of its first packet and the time at which it is first
    audible or visible: encoders of audio begin with priming samples. `is_absolute` tells that the container's times
    begin at 0 (MP4, Matroska), so that a later start is silence, as in players.
    """
    packets, presented = zip(*starts, strict=True)
    first = min(packets)
    # With a picture whose frames are reordered, muxers that can't go below 0 move all tracks by some frames.
    least = TOLERANCE_SECONDS if len(packets) == 1 else LONGEST_SHIFT_SECONDS
    if is_absolute and least < first <= LATEST_START_SECONDS:
        return 0.0
    if -LONGEST_OVERLAP_SECONDS <= first < 0:
        return max(0.0, min(presented))  # priming is before 0, in Ogg and MP4
    return min(presented)
