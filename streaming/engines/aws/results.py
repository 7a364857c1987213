"""Converts results of Amazon Transcribe into ours, with times of the recording, slots, speakers and marked words.

`session.py` creates one `Interpreter` per stream. The interpreter maps times of the stream to times of the recording,
and drops words that are already final from an earlier stream. It raises no exceptions: it derives missing fields, and
keeps all other words.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from operator import itemgetter

from streaming.engines.aws.messages import Alternative, Entity, SdkResult, UnexpectedContent
from streaming.engines.aws.words import Piece, is_time, pieces_of, text_of
from streaming.engines.base import Request
from streaming.results import Result, Word, storable

MONO = "0"  # the slot of a stream without channel identification
SHORTEST_TURN = 3  # words; a speaker's shorter turn is probably an error of the service
# Results of a channel may arrive this much later than those of the other channel.
LAG_SECONDS = 15.0
# A result's time that is this much later than the audio sent so far is wrong, and treated as missing.
LATE_SECONDS = 300.0
LANGUAGE_CHARACTERS = 32


class Timeline:
    """Maps times of the stream to times of the recording.

    The stream begins at `start_time` of the recording, and may contain silence that `session.py` inserted.
    """

    def __init__(self, start_time: float) -> None:
        self.start_time = start_time
        self.sent_seconds = 0.0
        self._silences: list[tuple[float, float]] = []  # (start, duration) in seconds of the stream

    def add(self, seconds: float) -> None:
        self.sent_seconds += seconds

    def add_silence(self, seconds: float) -> None:
        """Record silence that was sent and is not part of the recording."""
        self._silences.append((self.sent_seconds, seconds))
        self.sent_seconds += seconds

    def recording_time(self, stream_time: float) -> float:
        """Return the time in the recording of a time in the stream, both in seconds."""
        before = sum(min(seconds, stream_time - begin) for begin, seconds in self._silences if begin < stream_time)
        return round(self.start_time + stream_time - before, 3)


class Interpreter:
    """Converts the results of one stream, in order of arrival."""

    def __init__(self, request: Request, timeline: Timeline) -> None:
        self._timeline = timeline
        self._language_code = request.language_code
        # Slot → the end of its last final of earlier streams. This stream may return the words before it again.
        self._known_until = request.ended
        self._ended = dict(request.ended)
        self._channels = ("ch_0", "ch_1") if request.options.get("enable_channel_identification") else (MONO,)
        self._speakers: dict[str, str] = {}  # the service's label in this stream → ours
        self._speakers_before = len(request.speakers)
        self._open: dict[tuple[str, str], Result] = {}  # (slot, id of the result) → its newest partial
        self._final: set[tuple[str, str]] = set()  # the same keys, of results whose final has arrived
        self._has_text = self._has_unreadable = False
        self._unexpected = UnexpectedContent()

    @property
    def has_open(self) -> bool:
        """Whether there is a partial that has no final yet."""
        return bool(self._open)

    @property
    def is_unreadable(self) -> bool:
        """Whether the service sent results and no text could be read from any of them."""
        return self._has_unreadable and not self._has_text

    def interpret(self, raw: SdkResult) -> Iterator[Result]:
        """Yield our results for one result of the service: none, one, or one for each turn of a speaker."""
        slot = self._slot(raw.channel_id or "")
        key = (slot, raw.result_id or "")
        if raw.is_partial and key in self._final:
            self._unexpected.log_once("a partial result after its final")
            return
        before = self._open.pop(key, None)
        if raw.alternatives is None and before is not None:
            self._unexpected.log_once("a result without a transcript")
            if raw.is_partial:
                self._open[key] = before
                return
            # Keep the words of the last partial, marked as provisional, because no final confirmed them.
            results = [replace(before, is_partial=False, is_provisional=True, stable=0)]
        else:
            results = [*self._read(raw, slot, is_repeated=key in self._final)]
        if raw.is_partial:
            for partial in results:
                self._open[key] = partial
                yield partial
        else:
            if raw.result_id:
                self._final.add(key)
            for final in results:
                self._forget(slot, final.end_time)
                yield self._settled(final)
        if before is not None and not results:
            # Clear the partial: the vocabulary filter removed all its words.
            yield replace(before, text="", words=(), stable=0)

    def _slot(self, channel: str) -> str:
        """Return the slot of a result. Results of an unexpected channel go to the slot `MONO`."""
        if channel in self._channels:
            return channel
        if channel:
            self._unexpected.log_once("a channel for mono audio" if self._channels == (MONO,) else "an unknown channel")
        elif self._channels != (MONO,):
            self._unexpected.log_once("a result without its channel")
        return MONO

    def _forget(self, slot: str, end_time: float) -> None:
        """Drop partials of a slot that end no later than the final of another result: their finals will not come."""
        for key in [key for key, partial in self._open.items() if key[0] == slot and partial.end_time <= end_time]:
            del self._open[key]

    def unconfirmed(self) -> Iterator[Result]:
        """Yield the partials that have no final as provisional finals. Call it when the answer has ended."""
        for key, partial in sorted(self._open.items(), key=lambda entry: entry[1].start_time):
            del self._open[key]
            yield self._settled(replace(partial, is_partial=False, is_provisional=True, stable=0))

    def _settled(self, final: Result) -> Result:
        """Record a final and set its `resume_time`, up to which all slots are final. A retry resumes there."""
        end = final.end_time
        self._ended[final.slot] = max(self._ended.get(final.slot, 0.0), end)
        begun = [partial.start_time for partial in self._open.values()]
        waiting = {slot for slot, _ in self._open}
        # A channel without a partial may still send results for the audio after its last final, `LAG_SECONDS` late.
        lagging = [
            max(self._ended.get(slot, self._timeline.start_time), end - LAG_SECONDS)
            for slot in self._channels
            if slot != final.slot and slot not in waiting
        ]
        return replace(final, resume_time=max(0.0, min([end, *begun, *lagging])))

    def _read(self, raw: SdkResult, slot: str, *, is_repeated: bool) -> Iterator[Result]:
        """Yield our results for the new words of one result. A final is split where the speaker changes."""
        best = _best(raw.alternatives or [])
        self._has_unreadable |= raw.alternatives is None
        if best is None:
            return
        self._has_text = True
        language_code = storable(raw.language_code or "")[:LANGUAGE_CHARACTERS]
        items = best.items or []
        text = storable(best.transcript or "") or text_of(items, language_code or self._language_code)
        start_time, end_time = self._span(raw, slot)
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
            is_partial=bool(raw.is_partial),
            slot=slot,
            channel="" if slot == MONO else slot,
            language_code=language_code,
        )
        turns = [("", new)] if raw.is_partial else _turns(new)
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
                stable=_stable(turn, turn[0].begin + len(part) - len(part.lstrip())) if raw.is_partial else 0,
            )

    def _span(self, raw: SdkResult, slot: str) -> tuple[float, float]:
        """Return a result's start and end in the stream.

        If the service sent none: the end of the slot's last final, and the end of the audio sent so far.
        """
        latest = self._timeline.sent_seconds + LATE_SECONDS
        items = [item for one in raw.alternatives or [] for item in one.items or []]
        begins = [raw.start_time, *(item.start_time for item in items)]
        ends = [raw.end_time, *(item.end_time for item in reversed(items))]
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
        """Return the name for a speaker label.

        Each stream counts its speakers from 0, so we number them after the speakers of earlier streams.
        """
        if not label:
            return ""
        number = self._speakers_before + len(self._speakers) + 1
        return self._speakers.setdefault(label, f"Speaker {number}")


def _best(alternatives: Sequence[Alternative]) -> Alternative | None:
    """Return the first alternative with words. The service lists the most likely one first."""
    return next((one for one in alternatives if (one.transcript or "").strip() or one.items), None)


def _is_within(piece: Piece, entity: Entity) -> bool:
    """Return whether a word belongs to an entity, by its time, or by its text if the service sent no time."""
    if entity.start_time is None or entity.end_time is None:
        return piece.item.content in (entity.content or "").split()
    return entity.start_time <= (piece.start_time + piece.end_time) / 2 <= entity.end_time


def _stable(pieces: Sequence[Piece], begin: int) -> int:
    """Return how many characters from `begin` on are stable: later partials keep them."""
    stable = begin
    for piece in pieces:
        if not piece.item.stable:
            break
        stable = piece.end
    return stable - begin


def _turns(pieces: Sequence[Piece]) -> list[tuple[str, list[Piece]]]:
    """Split words where the speaker changes. A turn shorter than `SHORTEST_TURN` joins its neighbour."""
    labels = [piece.item.speaker or "" for piece in pieces]
    # A word without a speaker gets the speaker of the word before it, or else the first speaker of the result.
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
    """Merge consecutive turns of the same speaker."""
    return [(label, [piece for _, turn in same for piece in turn]) for label, same in groupby(turns, itemgetter(0))]
