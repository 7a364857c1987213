"""Pure values: what an engine yields. Times are seconds from the start of the recording."""

import math
import re
from dataclasses import asdict, dataclass, replace
from typing import Any

UNSTORABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Word:
    """One word as it was said. What an engine does not know is None.

    `confidence` is 0 to 1, `pii` the kind of personal data that it belongs to (Amazon's names: `NAME`, `PHONE` …),
    `vocabulary_filter_match` true where a vocabulary filter is to tag it.
    """

    text: str
    start_time: float
    end_time: float
    confidence: float | None = None
    pii: str | None = None
    vocabulary_filter_match: bool | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON object of the protocol, without what is not known."""
        return {key: value for key, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class Result:
    """What an engine heard: a partial, still being revised, or a final.

    A partial replaces the one before it in its `slot`; a final ends what stood there. There is one slot for
    each channel or lane of an engine that hears several at once. The first `stable` characters of a partial will
    not change any more. A final is `is_provisional` where the engine ended before it confirmed the words.
    `resume_time`, of a final: what comes before it is final in every slot; None: its own end.
    """

    text: str
    start_time: float
    end_time: float
    is_partial: bool
    words: tuple[Word, ...] = ()
    slot: str = "0"
    speaker: str = ""
    channel: str = ""
    language_code: str = ""
    stable: int = 0
    is_provisional: bool = False
    resume_time: float | None = None

    @property
    def next_time(self) -> float:
        """Where another stream would go on after this final."""
        return self.end_time if self.resume_time is None else self.resume_time

    def within(self, seconds: float) -> "Result":
        """Return the result with no time after `seconds`, rounded down to milliseconds: the end of the recording.

        Engines date words into the silence that they add, and services pad the end of a line.
        """
        end = math.floor(seconds * 1000) / 1000
        if self.end_time <= end and all(word.end_time <= end for word in self.words):
            return self
        words = tuple(
            replace(word, start_time=min(word.start_time, end), end_time=min(word.end_time, end)) for word in self.words
        )
        return replace(self, start_time=min(self.start_time, end), end_time=min(self.end_time, end), words=words)


def storable(text: str) -> str:
    """Return a text as every database takes it: PostgreSQL knows no NUL, and none knows half a character."""
    return UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def spread_words(text: str, start_time: float, end_time: float) -> tuple[Word, ...]:
    """Return the words of `text` with times spread over the line by their length in letters.

    For engines that know when a line was said but not when each word was.
    """
    parts = text.split()
    # Each word takes its letters and the gap after it.
    weights = [len(part) + 1 for part in parts]
    total = sum(weights)
    words, before = [], 0
    for part, weight in zip(parts, weights, strict=True):
        begin = start_time + (end_time - start_time) * before / total
        before += weight
        end = start_time + (end_time - start_time) * before / total
        words.append(Word(part, round(begin, 3), round(end, 3)))
    return tuple(words)
