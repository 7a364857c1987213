"""Splits segments into captions of at most two lines of 42 columns and seven seconds, in any script.

`exports.py` calls it for SRT and VTT. `typesetting.py` decides where a text may be split. Captions are slices of a
segment's text, so that languages without spaces between words get none.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate, pairwise
from typing import NamedTuple

from streaming.models import Segment
from streaming.transcript.typesetting import LINE_COLUMNS, breaks, columns, one_line, shortened

CUE_SECONDS = 7.0
SHORTEST_SECONDS = 0.002  # players skip a caption that does not end after it begins, even after its times are rounded
NAME_COLUMNS = LINE_COLUMNS - 2  # leaves room for the colon and the space after a speaker's name


class Cue(NamedTuple):
    start_time: float
    end_time: float
    lines: tuple[str, ...]
    speaker: str


class Anchor(NamedTuple):
    """A word located in its segment's text: its range (code points, half-open) and its times (seconds)."""

    begin: int
    end: int
    start_time: float
    end_time: float

    def time(self, place: int) -> float:
        part = (place - self.begin) / max(1, self.end - self.begin)
        return self.start_time + (self.end_time - self.start_time) * part


def cues(segments: Iterable[Segment], *, names_speakers: bool = False) -> Iterator[Cue]:
    """Yield the captions of segments. With `names_speakers` a caption's first line begins with the speaker's name."""
    for segment in segments:
        text = one_line(segment.text)
        speaker = one_line(segment.voice)
        prefix = f"{shortened(speaker, NAME_COLUMNS)}: " if names_speakers and speaker else ""
        times = WordTimes(segment, text)
        places = breaks(text, [anchor.begin for anchor in times.anchors])
        for begin, end, lines in _pieces(text, prefix, places, times):
            # Start a caption that would be too short earlier, because the last one must not end after the recording.
            end_time = max(times.at_end(end), SHORTEST_SECONDS)
            start_time = max(0.0, min(times.at_begin(begin), end_time - SHORTEST_SECONDS))
            yield Cue(start_time, end_time, lines, speaker)


def _pieces(
    text: str, prefix: str, places: list[int], times: "WordTimes"
) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Yield (begin, end, lines) of each caption. It has as many parts as two lines and the time allow, at least one."""
    layout, first = Layout(text, prefix, places), 0
    while first < len(places) - 1:
        last = first + 1
        while last < len(places) - 1 and layout.fits(first, last + 1):
            if times.at_end(layout.end(last + 1)) - times.at_begin(places[first]) > CUE_SECONDS:
                break
            last += 1
        yield places[first], layout.end(last), layout.lines(first, last)
        first = last


class Layout:
    """Arranges parts of a text in lines. `places` are the positions between parts; each part alone fits a line."""

    def __init__(self, text: str, prefix: str, places: list[int]) -> None:
        self._text = text
        self._prefix = prefix
        self._places = places
        self._begins = [0, *accumulate(columns(text[begin:end]) for begin, end in pairwise(places))]
        spaces = [place > 0 and text[place - 1] == " " for place in places]
        self._ends = [column - is_space for column, is_space in zip(self._begins, spaces, strict=True)]

    def end(self, last: int) -> int:
        """Return where the text before the place with index `last` ends, without a space at its end."""
        return self._places[last] - (self._begins[last] - self._ends[last])

    def _width(self, first: int, last: int) -> int:
        return self._ends[last] - self._begins[first]

    def fits(self, first: int, last: int) -> bool:
        """Return whether the prefix and the parts from `first` to `last` fit two lines."""
        most = LINE_COLUMNS - columns(self._prefix) + self._begins[first]
        middle = max(first, bisect_right(self._ends, most, first, last + 1) - 1)
        return self._width(middle, last) <= LINE_COLUMNS

    def lines(self, first: int, last: int) -> tuple[str, ...]:
        """Return the parts on one line if they fit, or else on two lines of lengths as equal as possible."""
        used = columns(self._prefix)
        if used + self._width(first, last) <= LINE_COLUMNS:
            return (self._prefix + self._text[self._places[first] : self.end(last)],)
        middle = min(
            range(first if self._prefix else first + 1, last),
            key=lambda place: max(used + self._width(first, place), self._width(place, last)),
        )
        begin = self._prefix + self._text[self._places[first] : self.end(middle)]
        return begin.rstrip(), self._text[self._places[middle] : self.end(last)]


class WordTimes:
    """Maps positions of a segment's text to times: by its words, or in proportion where it has none."""

    def __init__(self, segment: Segment, text: str) -> None:
        self._start = segment.start_time
        self._end = max(segment.start_time, segment.end_time)
        self._length = len(text)
        self.anchors = list(_anchors(segment, text))
        self._begins = [anchor.begin for anchor in self.anchors]
        # The text after the last located word shares the rest of the segment's time.
        last = self.anchors[-1] if self.anchors else Anchor(0, 0, self._start, self._start)
        self._rest = Anchor(last.end, len(text), last.end_time, max(self._end, last.end_time))

    def at_begin(self, place: int) -> float:
        """Return the start time of a caption that begins at `place`. Between two words it is the second one's start."""
        if place == 0:
            return self._start
        index = bisect_right(self._begins, place) - 1
        if index >= 0 and place < self.anchors[index].end:
            return self.anchors[index].time(place)
        return self.anchors[index + 1].start_time if index + 1 < len(self.anchors) else self._rest.time(place)

    def at_end(self, place: int) -> float:
        """Return the end time of a caption that ends at `place`. Between two words it is the first one's end."""
        if place == self._length:
            return self._end
        index = bisect_left(self._begins, place) - 1
        if index >= 0 and place <= self.anchors[index].end:
            return self.anchors[index].time(place)
        if index + 1 < len(self.anchors):
            return self.anchors[max(0, index)].end_time
        return self._rest.time(place)


def _anchors(segment: Segment, text: str) -> Iterator[Anchor]:
    """Yield the segment's words in order, up to the first word that does not match the text at its position."""
    place, now = 0, segment.start_time
    for word in segment.words:
        spoken = one_line(word["text"])
        begin = text.find(spoken, place) if spoken else -1
        if begin < 0 or any(map(str.isalnum, text[place:begin])):
            return
        start_time, end_time = max(now, word["start_time"]), max(now, word["start_time"], word["end_time"])
        place, now = begin + len(spoken), end_time
        yield Anchor(begin, place, start_time, end_time)
