"""Decides where the samples of a recording belong, so that sample n of the spool is at n / rate seconds.

`placement.py` places packets (to find the length) and decoded frames (to make the spool) by the same rules. The rules
correct the timestamps of damaged or badly written files. Nothing here needs PyAV.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from statistics import median
from typing import Generic, NamedTuple, TypeVar

# Smaller deviations are rounding: most containers round timestamps to a millisecond, and the shortest usual packet has
# 20 ms. Larger ones are real and add up over the file.
TOLERANCE_SECONDS = 0.005
# A recorder's clock jitters by some milliseconds, and a damaged file has single wrong timestamps. A deviation counts
# only if most of the next pieces agree: following every timestamp would cut the audio into clicks.
AGREEING_PIECES = 3
LONGEST_GAP_SECONDS = 3600.0  # a longer gap is a wrong timestamp, not silence
# A transport or program stream restarts its clock at each splice. FFmpeg uses the same limit (dts_delta_threshold).
LONGEST_SPLICE_SECONDS = 10.0
# Pieces that overlap by more belong to a second recording and are appended: cutting them would lose speech.
LONGEST_OVERLAP_SECONDS = 0.5
# A file whose first timestamp is later was cut from a longer recording, so the time before it is not silence.
LATEST_START_SECONDS = 60.0
LONGEST_SHIFT_SECONDS = 0.5

Content = TypeVar("Content")


class Piece(NamedTuple, Generic[Content]):
    """Some audio with its timestamp in the file, in seconds. If `start` is None, it follows the piece before it."""

    start: float | None
    seconds: float
    content: Content


class Placed(NamedTuple, Generic[Content]):
    """A piece on the timeline: after `gap` seconds of silence, or without its first `cut` seconds."""

    gap: float
    cut: float
    seconds: float  # the length without `cut`
    content: Content


class Timeline:
    """Places the pieces of one audio track. `zero` is the timestamp of the first sample.

    `is_spliced` is true if the timestamps may restart within the file.
    """

    def __init__(self, zero: float, *, is_spliced: bool = False) -> None:
        self.clock = zero  # the expected timestamp of the next sample
        self.is_spliced = is_spliced
        self.has_begun = False

    def place(self, pieces: Iterable[Piece[Content]]) -> Iterator[Placed[Content]]:
        """Yield the pieces in their order, placed. Reads `AGREEING_PIECES` pieces ahead."""
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
        if is_splice or not -LONGEST_OVERLAP_SECONDS <= late <= LONGEST_GAP_SECONDS:
            self.clock += late  # the file's clock has jumped: follow it without silence or a cut
        elif late > 0:
            gap = late
        else:
            cut = min(-late, piece.seconds)
        self.has_begun = True
        self.clock += gap + piece.seconds - cut
        return Placed(gap, cut, piece.seconds - cut, piece.content)

    def _deviation(self, held: deque[Piece[Content]]) -> float:
        """Return how many seconds the first piece is late (negative: early), or 0.0 if most of the others disagree."""
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
        # Within a pause each packet is later than the one before, so only the first shows how much is missing here.
        return min(first, median(agreeing), key=abs) if agreeing else first


def zero(starts: Iterable[tuple[float, float]], *, is_absolute: bool) -> float:
    """Return the timestamp of a recording's first sample.

    `starts` has two times for each audio or video track: that of its first packet, and that of its first audible or
    visible content (audio encoders write priming samples first). `is_absolute` is true if the container's timestamps
    count from 0 (MP4, Matroska), so that a later start means silence, as in players.
    """
    packets, presented = zip(*starts, strict=True)
    first = min(packets)
    # If video frames are reordered, muxers that can't write negative timestamps start all tracks some frames later.
    least = TOLERANCE_SECONDS if len(packets) == 1 else LONGEST_SHIFT_SECONDS
    if is_absolute and least < first <= LATEST_START_SECONDS:
        return 0.0
    if -LONGEST_OVERLAP_SECONDS <= first < 0:
        return max(0.0, min(presented))  # Ogg and MP4 give priming samples negative timestamps
    return min(presented)
