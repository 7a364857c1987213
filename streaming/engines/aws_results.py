"""From what Amazon Transcribe says to our results: times of the recording, slots, speakers, marks.

One `Hearing` for each stream. It knows where the stream lies in the recording, and which of what the stream says
is known from a stream before.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import Any

from streaming.engines.base import Request
from streaming.transcripts import Result, Word, spread_words

MONO = "0"  # the slot of a stream that does not tell channels apart
SHORTEST_TURN = 3  # words; speakers that change for less are a slip of the service
# A channel that says nothing may lag by so much behind one that does: results pause, at times, for that long.
LAG_SECONDS = 15.0


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

    item: Any
    begin: int
    end: int
    text: str


class Hearing:
    """Turns one stream's results into ours, in the order in which they come."""

    def __init__(self, request: Request, timeline: Timeline) -> None:
        self._timeline = timeline
        self._ended = dict(request.ended)
        self._channels = ("ch_0", "ch_1") if request.options.get("enable_channel_identification") else (MONO,)
        self._speakers: dict[str, str] = {}  # the service's label in this stream → ours
        self._speakers_before = len(request.speakers)
        self._open: dict[tuple[str, str], Result] = {}  # (slot, id of the result) → its newest partial

    @property
    def has_open(self) -> bool:
        """Whether the service still owes a final."""
        return bool(self._open)

    def take(self, heard: Any) -> Iterator[Result]:
        """Yield what a result of the service (the SDK's `Result`) is for us: nothing, one, or one for each turn."""
        slot = heard.channel_id or MONO
        if heard.is_partial:
            for partial in self._read(heard, slot):
                self._open[slot, heard.result_id] = partial
                yield partial
            return
        self._open.pop((slot, heard.result_id), None)
        for final in self._read(heard, slot):
            yield self._settled(final)

    def unconfirmed(self) -> Iterator[Result]:
        """Yield as finals what was still open when the service had ended."""
        partials = sorted(self._open.values(), key=lambda partial: partial.start_time)
        self._open.clear()
        for partial in partials:
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

    def _read(self, heard: Any, slot: str) -> Iterator[Result]:
        """Yield what is new in one result, a final split where the speaker changes."""
        if not heard.alternatives:
            return
        best = heard.alternatives[0]
        text, time = best.transcript or "", self._timeline.recording_time
        known_until = self._ended.get(slot, 0.0)  # after a resume a slot may hear again what it had finished
        whole = Result(
            text=text.strip(),
            start_time=time(heard.start_time),
            end_time=time(heard.end_time),
            is_partial=bool(heard.is_partial),
            slot=slot,
            channel=heard.channel_id or "",
            language_code=heard.language_code or "",
        )
        pieces = _pieces(text, best.items or [])
        new = [p for p in pieces if (time(p.item.start_time) + time(p.item.end_time)) / 2 >= known_until]
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

    def _word(self, piece: Piece, entities: Sequence[Any]) -> Word:
        item = piece.item
        middle = (item.start_time + item.end_time) / 2
        return Word(
            text=piece.text,
            start_time=self._timeline.recording_time(item.start_time),
            end_time=self._timeline.recording_time(item.end_time),
            confidence=item.confidence,
            pii=next((e.entity_type or "PII" for e in entities if e.start_time <= middle <= e.end_time), None),
            vocabulary_filter_match=item.vocabulary_filter_match or None,
        )

    def _speaker(self, label: str) -> str:
        """Return the name of a speaker. A stream counts from 0 again: the people of an earlier one stay apart."""
        if not label:
            return ""
        number = self._speakers_before + len(self._speakers) + 1
        return self._speakers.setdefault(label, f"Speaker {number}")


def _pieces(text: str, items: Sequence[Any]) -> list[Piece]:
    """Return the words of a result, each with where it stands in `text` (languages differ in what is between them)."""
    pieces: list[Piece] = []
    at = 0
    for item in items:
        content = item.content or ""
        found = text.find(content, at)
        begin = at if found < 0 else found
        at = begin + len(content) if found >= 0 else at
        if item.item_type != "punctuation":
            pieces.append(Piece(item, begin, at, content))
        elif pieces:
            pieces[-1].end, pieces[-1].text = at, pieces[-1].text + content
    return pieces


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
