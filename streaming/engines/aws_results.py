"""From what Amazon Transcribe says to our results: times of the recording, slots, speakers, marks.

One `Interpreter` for each stream. It knows where the stream lies in the recording, and which of what the stream says
is known from a stream before.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import TypeGuard

from streaming.engines.aws_transport import Entity, HeardResult, Item, Unreadable
from streaming.engines.base import Request
from streaming.transcripts import Result, Word, spread_words, storable

MONO = "0"  # the slot of a stream that does not tell channels apart
SHORTEST_TURN = 3  # words; speakers that change for less are a slip of the service
# A channel that says nothing may lag by so much behind one that does: results pause, at times, for that long.
LAG_SECONDS = 15.0
LANGUAGE_CHARACTERS = 32


class Timeline:
    """Where the stream lies in the recording: it begins at `start_time`, and may hold silence of our own making."""

    def __init__(self, start_time: float) -> None:
        self.start_time = start_time
        self.sent_seconds = 0.0
        self._silences: list[tuple[float, float]] = []  # stream time, seconds

    def add(self, seconds: float) -> None:
        self.sent_seconds += seconds

    def add_silence(self, seconds: float) -> None:
        """Note silence that is in the stream and not in the recording."""
        self._silences.append((self.sent_seconds, seconds))
        self.sent_seconds += seconds

    def recording_time(self, stream_time: float) -> float:
        """Return the place in the recording of a place in the stream, both in seconds."""
        before = sum(min(seconds, stream_time - begin) for begin, seconds in self._silences if begin < stream_time)
        return round(self.start_time + stream_time - before, 3)


@dataclass
class Piece:
    """A word of a result (the SDK's `Item`) with the punctuation after it, and where both stand in the text."""

    item: Item
    text: str
    begin: int
    end: int
    start_time: float  # seconds of the stream
    end_time: float


class Interpreter:
    """Turns one stream's results into ours, in the order in which they come."""

    def __init__(self, request: Request, timeline: Timeline) -> None:
        self._timeline = timeline
        self._known_until = request.ended  # by the streams before; a slot may hear it again
        self._ended = dict(request.ended)
        self._channels = ("ch_0", "ch_1") if request.options.get("enable_channel_identification") else (MONO,)
        self._speakers: dict[str, str] = {}  # the service's label in this stream → ours
        self._speakers_before = len(request.speakers)
        self._open: dict[tuple[str, str], Result] = {}  # (slot, id of the result) → its newest partial

    @property
    def has_open(self) -> bool:
        """Whether the service still owes a final."""
        return bool(self._open)

    def take(self, heard: HeardResult) -> Iterator[Result]:
        """Yield what a result of the service (the SDK's `Result`) is for us: nothing, one, or one for each turn."""
        slot = heard.channel_id or MONO
        if slot not in self._channels:
            raise Unreadable(f"a channel that is not there: {slot[:20]}")
        before = self._open.pop((slot, heard.result_id or ""), None)
        results = [*self._read(heard, slot)]
        if heard.is_partial:
            for partial in results:
                self._open[slot, heard.result_id or ""] = partial
                yield partial
        else:
            for final in results:
                self._forget(slot, final.end_time)
                yield self._settled(final)
        if before is not None and not results:
            yield replace(before, text="", words=(), stable=0)  # nothing is left of it: the filter took it all

    def _forget(self, slot: str, end_time: float) -> None:
        """Let go of partials that a final has overtaken under another id."""
        for key in [key for key, partial in self._open.items() if key[0] == slot and partial.end_time <= end_time]:
            del self._open[key]

    def unconfirmed(self) -> Iterator[Result]:
        """Yield as finals what was still open when the service had ended."""
        for key, partial in sorted(self._open.items(), key=lambda entry: entry[1].start_time):
            del self._open[key]
            yield self._settled(replace(partial, is_partial=False, is_provisional=True, stable=0))

    def _settled(self, final: Result) -> Result:
        """Note a final, and add to it where another stream would go on: what comes before that is final."""
        end = final.end_time
        self._ended[final.slot] = max(self._ended.get(final.slot, 0.0), end)
        begun = [partial.start_time for partial in self._open.values()]
        waiting = {slot for slot, _ in self._open}
        lagging = [
            max(self._ended.get(slot, self._timeline.start_time), end - LAG_SECONDS)
            for slot in self._channels
            if slot != final.slot and slot not in waiting
        ]
        return replace(final, resume_time=max(0.0, min([end, *begun, *lagging])))

    def _read(self, heard: HeardResult, slot: str) -> Iterator[Result]:
        """Yield what is new in one result, a final split where the speaker changes."""
        if not heard.alternatives:
            return
        if not _is_time(heard.start_time) or not _is_time(heard.end_time):
            raise Unreadable("a result without its times")
        best = heard.alternatives[0]
        text, time = storable(best.transcript or ""), self._timeline.recording_time
        known_until = self._known_until.get(slot, 0.0)
        whole = Result(
            text=text.strip(),
            start_time=time(heard.start_time),
            end_time=time(heard.end_time),
            is_partial=bool(heard.is_partial),
            slot=slot,
            channel=heard.channel_id or "",
            language_code=storable(heard.language_code or "")[:LANGUAGE_CHARACTERS],
        )
        pieces = _pieces(text, best.items or [], heard.start_time)
        new = [piece for piece in pieces if (time(piece.start_time) + time(piece.end_time)) / 2 >= known_until]
        if not pieces and whole.text and (whole.start_time + whole.end_time) / 2 >= known_until:
            yield replace(whole, words=spread_words(whole.text, whole.start_time, whole.end_time))
        if not new:
            return
        turns = [("", new)] if heard.is_partial else _turns(new)
        for label, turn in turns:
            words = tuple(self._word(piece, best.entities or []) for piece in turn)
            yield replace(
                whole,
                text=text[turn[0].begin : turn[-1].end].strip(),
                start_time=whole.start_time if turn[0] is pieces[0] else words[0].start_time,
                end_time=whole.end_time if turn[-1] is pieces[-1] else words[-1].end_time,
                words=words,
                speaker=self._speaker(label),
                stable=_stable(turn) if heard.is_partial else 0,
            )

    def _word(self, piece: Piece, entities: Sequence[Entity]) -> Word:
        middle = (piece.start_time + piece.end_time) / 2
        kinds = (e.entity_type or "PII" for e in entities if (e.start_time or 0) <= middle <= (e.end_time or 0))
        return Word(
            text=piece.text,
            start_time=self._timeline.recording_time(piece.start_time),
            end_time=self._timeline.recording_time(piece.end_time),
            confidence=piece.item.confidence if _is_time(piece.item.confidence) else None,
            pii=next(kinds, None),
            vocabulary_filter_match=piece.item.vocabulary_filter_match or None,
        )

    def _speaker(self, label: str) -> str:
        """Return the name of a speaker. A stream counts from 0 again: the people of an earlier one stay apart."""
        if not label:
            return ""
        number = self._speakers_before + len(self._speakers) + 1
        return self._speakers.setdefault(label, f"Speaker {number}")


def _pieces(text: str, items: Sequence[Item], start_time: float) -> list[Piece]:
    """Return the words of a result, each with where it stands in `text` (languages differ in what is between them)."""
    pieces: list[Piece] = []
    at, time = 0, start_time
    for item in items:
        content = storable(item.content or "")
        found = text.find(content, at)
        begin = at if found < 0 else found
        at = begin + len(content) if found >= 0 else at
        if item.item_type != "punctuation":
            # One without times is where the word before it ended.
            begins = item.start_time if _is_time(item.start_time) else time
            time = item.end_time if _is_time(item.end_time) else begins
            pieces.append(Piece(item, content, begin, at, begins, time))
        elif pieces:
            pieces[-1].end, pieces[-1].text = at, pieces[-1].text + content
    return pieces


def _is_time(value: float | None) -> TypeGuard[float]:
    """Whether this is a number that can be reckoned with: JSON as it is read here knows NaN and Infinity."""
    return isinstance(value, int | float) and math.isfinite(value)


def _stable(pieces: Sequence[Piece]) -> int:
    """Return how many characters from the first of these words on will not change."""
    stable = 0
    for piece in pieces:
        if not piece.item.stable:
            break
        stable = piece.end - pieces[0].begin
    return stable


def _turns(pieces: Sequence[Piece]) -> list[tuple[str, list[Piece]]]:
    """Split words where the speaker changes; a turn that is too short to be one joins that before it."""
    turns = _joined((piece.item.speaker or "", [piece]) for piece in pieces)
    while len(turns) > 1:
        shortest = min(range(len(turns)), key=lambda place: len(turns[place][1]))
        if len(turns[shortest][1]) >= SHORTEST_TURN:
            break
        neighbour = shortest - 1 if shortest else 1
        turns[shortest] = (turns[neighbour][0], turns[shortest][1])
        turns = _joined(turns)
    return turns


def _joined(turns: Iterable[tuple[str, list[Piece]]]) -> list[tuple[str, list[Piece]]]:
    """Make one of the turns of the same speaker that follow each other."""
    return [(label, [piece for _, turn in same for piece in turn]) for label, same in groupby(turns, itemgetter(0))]
