"""The results that engines yield. Times are seconds from the start of the recording."""

import math
import re
from dataclasses import asdict, dataclass, replace
from typing import Any

UNSTORABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a result. A field is None if the engine does not provide it.

    `confidence` is 0 to 1. `pii` is the kind of personal data that the word belongs to, with Amazon's names (`NAME`,
    `PHONE` …). `vocabulary_filter_match` is true if a vocabulary filter tagged the word.
    """

    text: str
    start_time: float
    end_time: float
    confidence: float | None = None
    pii: str | None = None
    vocabulary_filter_match: bool | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the protocol's object, without fields that are None."""
        return {key: value for key, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class Result:
    """One line that an engine recognised: a partial, which the engine may still revise, or a final.

    A partial replaces the previous partial of its `slot`; a final clears the slot. An engine that transcribes several
    channels at once has one slot for each. Later partials begin with the first `stable` characters of a partial. A
    final `is_provisional` if the engine stopped before confirming it. `resume_time` of a final: everything before this
    time is final in every slot; None stands for the final's own end.
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
        """The time (seconds) from which the next stream resumes after this final."""
        return self.end_time if self.resume_time is None else self.resume_time

    def within(self, seconds: float) -> "Result":
        """Return the result with all times clipped to the recording's length `seconds`, rounded down to milliseconds.

        Engines append silence and may date words into it, and services pad the end of a line.
        """
        end = math.floor(seconds * 1000) / 1000
        if self.end_time <= end and all(word.end_time <= end for word in self.words):
            return self
        words = tuple(
            replace(word, start_time=min(word.start_time, end), end_time=min(word.end_time, end)) for word in self.words
        )
        return replace(self, start_time=min(self.start_time, end), end_time=min(self.end_time, end), words=words)


def storable(text: str) -> str:
    """Return a text with NUL, which PostgreSQL refuses, and lone surrogates, which all databases refuse, replaced."""
    return UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def spread_words(text: str, start_time: float, end_time: float) -> tuple[Word, ...]:
    """Return the words of `text` with times that divide the line in proportion to their lengths.

    For engines that provide the times of a line, but not of its words.
    """
    parts = text.split()
    # A word's share is its letters and one space.
    weights = [len(part) + 1 for part in parts]
    total = sum(weights)
    words, before = [], 0
    for part, weight in zip(parts, weights, strict=True):
        begin = start_time + (end_time - start_time) * before / total
        before += weight
        end = start_time + (end_time - start_time) * before / total
        words.append(Word(part, round(begin, 3), round(end, 3)))
    return tuple(words)
