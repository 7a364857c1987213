"""Turns results of Amazon Transcribe into ours: times of the recording, slots, speakers, marks.

`session.py` makes one `Interpreter` for each stream. It knows where the stream lies in the recording, and which
words are final from an earlier stream. It raises nothing: it ignores what is harmless, derives what is missing, and
keeps every word.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from operator import itemgetter

from streaming.engines.aws.messages import Alternative, Entity, HeardResult, Oddities
from streaming.engines.aws.words import Piece, is_time, pieces_of, text_of
from streaming.engines.base import Request
from streaming.results import Result, Word, storable

MONO = "0"  # the slot of a stream that does not tell channels apart
SHORTEST_TURN = 3  # words; speakers that change for less are a slip of the service
# A channel without words may lag by so much behind one that has some: results pause, at times, for that long.
LAG_SECONDS = 15.0
# Results are about audio that was sent. A time so much later is wrong, and counts as missing.
LATE_SECONDS = 300.0
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


class Interpreter:
    """Turns one stream's results into ours, in the order in which they come."""

    def __init__(self, request: Request, timeline: Timeline) -> None:
        self._timeline = timeline
        self._language_code = request.language_code
        self._known_until = request.ended  # by the streams before; this one may return those words again
        self._ended = dict(request.ended)
        self._channels = ("ch_0", "ch_1") if request.options.get("enable_channel_identification") else (MONO,)
        self._speakers: dict[str, str] = {}  # the service's label in this stream → ours
        self._speakers_before = len(request.speakers)
        self._open: dict[tuple[str, str], Result] = {}  # (slot, id of the result) → its newest partial
        self._final: set[tuple[str, str]] = set()  # the same keys, of results that have their final
        self._has_text = self._has_unreadable = False
        self._oddities = Oddities()

    @property
    def has_open(self) -> bool:
        """Whether the service still owes a final."""
        return bool(self._open)

    @property
    def is_unreadable(self) -> bool:
        """Whether results came, and none with a text."""
        return self._has_unreadable and not self._has_text

    def take(self, heard: HeardResult) -> Iterator[Result]:
        """Yield our results for one of the service (the SDK's `Result`): none, one, or one for each turn."""
        slot = self._slot(heard.channel_id or "")
        key = (slot, heard.result_id or "")
        if heard.is_partial and key in self._final:
            self._oddities.note("a partial result after its final")
            return
        before = self._open.pop(key, None)
        if heard.alternatives is None and before is not None:
            self._oddities.note("a result without a transcript")
            if heard.is_partial:
                self._open[key] = before
                return
            # Its words are those of the last partial, which nobody confirmed.
            results = [replace(before, is_partial=False, is_provisional=True, stable=0)]
        else:
            results = [*self._read(heard, slot, is_repeated=key in self._final)]
        if heard.is_partial:
            for partial in results:
                self._open[key] = partial
                yield partial
        else:
            if heard.result_id:
                self._final.add(key)
            for final in results:
                self._forget(slot, final.end_time)
                yield self._settled(final)
        if before is not None and not results:
            yield replace(before, text="", words=(), stable=0)  # nothing is left of it: the filter removed all words

    def _slot(self, channel: str) -> str:
        """Return the slot of a result. Words of an unexpected channel are kept beside the others."""
        if channel in self._channels:
            return channel
        if channel:
            self._oddities.note("a channel for mono audio" if self._channels == (MONO,) else "an unknown channel")
        elif self._channels != (MONO,):
            self._oddities.note("a result without its channel")
        return MONO

    def _forget(self, slot: str, end_time: float) -> None:
        """Drop partials that a final has overtaken under another id."""
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

    def _read(self, heard: HeardResult, slot: str, *, is_repeated: bool) -> Iterator[Result]:
        """Yield the new words of one result, a final split where the speaker changes."""
        best = _best(heard.alternatives or [])
        self._has_unreadable |= heard.alternatives is None
        if best is None:
            return
        self._has_text = True
        language_code = storable(heard.language_code or "")[:LANGUAGE_CHARACTERS]
        items = best.items or []
        text = storable(best.transcript or "") or text_of(items, language_code or self._language_code)
        start_time, end_time = self._span(heard, slot)
        latest = self._timeline.sent_seconds + LATE_SECONDS
        pieces = pieces_of(text, items, start_time, end_time, latest)
        time = self._timeline.recording_time
        known_until = max(self._known_until.get(slot, 0.0), self._ended.get(slot, 0.0) if is_repeated else 0.0)
        new = [piece for piece in pieces if (time(piece.start_time) + time(piece.end_time)) / 2 >= known_until]
        if not new:
            return
        whole = Result(
            text="",
            start_time=time(start_time),
            end_time=time(end_time),
            is_partial=bool(heard.is_partial),
            slot=slot,
            channel="" if slot == MONO else slot,
            language_code=language_code,
        )
        turns = [("", new)] if heard.is_partial else _turns(new)
        for label, turn in turns:
            words = tuple(self._word(piece, best.entities or []) for piece in turn)
            part = text[turn[0].begin : turn[-1].until]
            yield replace(
                whole,
                text=part.strip(),
                start_time=whole.start_time if turn[0] is pieces[0] else words[0].start_time,
                end_time=whole.end_time if turn[-1] is pieces[-1] else words[-1].end_time,
                words=words,
                speaker=self._speaker(label),
                stable=_stable(turn, turn[0].begin + len(part) - len(part.lstrip())) if heard.is_partial else 0,
            )

    def _span(self, heard: HeardResult, slot: str) -> tuple[float, float]:
        """Return the times of a result in the stream; without them, from the last final to the newest audio."""
        latest = self._timeline.sent_seconds + LATE_SECONDS
        items = [item for one in heard.alternatives or [] for item in one.items or []]
        begins = [heard.start_time, *(item.start_time for item in items)]
        ends = [heard.end_time, *(item.end_time for item in reversed(items))]
        start_time = next((time for time in begins if is_time(time, latest)), None)
        if start_time is None:
            start_time = max(0.0, self._ended.get(slot, 0.0) - self._timeline.start_time)
        end_time = next((time for time in ends if is_time(time, latest)), self._timeline.sent_seconds)
        return start_time, max(start_time, end_time)

    def _word(self, piece: Piece, entities: Sequence[Entity]) -> Word:
        return Word(
            text=piece.text,
            start_time=self._timeline.recording_time(piece.start_time),
            end_time=self._timeline.recording_time(piece.end_time),
            confidence=piece.item.confidence,
            pii=next((entity.entity_type for entity in entities if _is_within(piece, entity)), None),
            vocabulary_filter_match=piece.item.vocabulary_filter_match or None,
        )

    def _speaker(self, label: str) -> str:
        """Return the name of a speaker. A stream counts from 0 again: the people of an earlier one stay apart."""
        if not label:
            return ""
        number = self._speakers_before + len(self._speakers) + 1
        return self._speakers.setdefault(label, f"Speaker {number}")


def _best(alternatives: Sequence[Alternative]) -> Alternative | None:
    """Return the first alternative with words; the service lists the likeliest first."""
    return next((one for one in alternatives if (one.transcript or "").strip() or one.items), None)


def _is_within(piece: Piece, entity: Entity) -> bool:
    """Whether a word belongs to an entity: by the time, or by the text where the service sent no time."""
    if entity.start_time is None or entity.end_time is None:
        return piece.item.content in (entity.content or "").split()
    return entity.start_time <= (piece.start_time + piece.end_time) / 2 <= entity.end_time


def _stable(pieces: Sequence[Piece], begin: int) -> int:
    """Return how many characters from `begin` on will not change."""
    stable = begin
    for piece in pieces:
        if not piece.item.stable:
            break
        stable = piece.end
    return stable - begin


def _turns(pieces: Sequence[Piece]) -> list[tuple[str, list[Piece]]]:
    """Split words where the speaker changes; a turn that is too short to be one joins that before it."""
    labels = [piece.item.speaker or "" for piece in pieces]
    # A word without a speaker belongs to that of the word before it; before the first, to the first that is named.
    label = next(filter(None, labels), "")
    turns = _joined([(label := own or label, [piece]) for own, piece in zip(labels, pieces, strict=True)])
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
