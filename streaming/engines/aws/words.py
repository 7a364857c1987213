"""Locates the words of one Amazon Transcribe result in its text and in time. `results.py` calls it.

The service sends a text and a list of items (words, punctuation). The list may be incomplete, and the text is
authoritative: a word without an item also gets a position and a time.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TypeGuard

from streaming.engines.aws.messages import Item
from streaming.results import storable

WITHOUT_SPACES = ("zh", "ja", "th", "km", "my")  # languages that write no space between words


@dataclass
class Piece:
    """A word of a result (the SDK's `Item`) with the punctuation after it, and their position in the text.

    `begin` and `end` are code points of the text. `until` is the position of the next word, so that consecutive pieces
    cover the text without gaps. The times are seconds from the start of the stream.
    """

    item: Item
    text: str
    begin: int
    end: int
    until: int
    start_time: float
    end_time: float


def text_of(items: Iterable[Item], language_code: str) -> str:
    """Return the text composed from `items`, for a result without a transcript."""
    gap = "" if language_code.split("-")[0] in WITHOUT_SPACES else " "
    text = ""
    for item in items:
        content = storable(item.content or "")
        text += content if item.item_type == "punctuation" else f"{gap if text else ''}{content}"
    return text


def pieces_of(text: str, items: Sequence[Item], start_time: float, end_time: float, latest: float) -> list[Piece]:
    """Return the words of `text` with their times.

    Consecutive words without times share the time up to the next word that has one, or up to `end_time`. An item's time
    after `latest` is wrong and treated as missing.
    """
    found: list[_Found] = []
    at = 0
    unlocated: list[Item] = []  # items whose content does not occur in the text at this position
    for item in items:
        content = storable(item.content or "")
        place = text.find(content, at) if content else -1
        if place < 0:
            if item.item_type != "punctuation":
                unlocated.append(item)
            continue
        _fill(found, text, at, place, unlocated)
        unlocated = []
        at = place + len(content)
        if item.item_type == "punctuation":
            _add_mark(found, content, place, at)
        else:
            found.append(_Found(item, content, place, at))
    _fill(found, text, at, len(text), unlocated)
    return _with_times(found, len(text), start_time, end_time, latest)


@dataclass
class _Found:
    """A word whose times may be missing."""

    item: Item
    text: str
    begin: int
    end: int

    @property
    def letters(self) -> int:
        return len(self.text) + 1


def _fill(found: list[_Found], text: str, begin: int, end: int, unlocated: Sequence[Item]) -> None:
    """Append the words between two positions of the text, for which no item was found.

    `unlocated` are the items that were not found in the text there. If there is one for each word, the words get them.
    """
    parts = list(re.finditer(r"\S+", text[begin:end]))
    items = [*unlocated] if len(unlocated) == len(parts) else []
    for number, part in enumerate(parts):
        place = (begin + part.start(), begin + part.end())
        if not any(letter.isalnum() for letter in part.group()):
            _add_mark(found, part.group(), *place)
            continue
        speaker = found[-1].item.speaker if found else None
        found.append(_Found(items[number] if items else Item(speaker=speaker), part.group(), *place))


def _add_mark(found: list[_Found], mark: str, begin: int, end: int) -> None:
    """Append punctuation to the word before it. Punctuation before the first word belongs to no word."""
    if found:
        found[-1].text, found[-1].end = found[-1].text + mark, end


def _with_times(found: Sequence[_Found], length: int, start_time: float, end_time: float, latest: float) -> list[Piece]:
    begins = [word.item.start_time if is_time(word.item.start_time, latest) else None for word in found]
    ends = [word.item.end_time if is_time(word.item.end_time, latest) else None for word in found]
    pieces: list[Piece] = []
    at = start_time
    for place, word in enumerate(found):
        begin, end = begins[place], ends[place]
        if begin is None or end is None:
            # Consecutive words without times share the time up to the next timed word, in proportion to their letters.
            run = 1 + sum(1 for _ in takewhile(lambda other: other is None, begins[place + 1 :]))
            until = next((time for time in begins[place + 1 :] if time is not None), end_time)
            begin = at if begin is None else begin
            share = word.letters / sum(other.letters for other in found[place : place + run])
            end = begin + max(0.0, until - begin) * share if end is None else end
        at = max(begin, end)
        until_text = found[place + 1].begin if place + 1 < len(found) else length
        pieces.append(Piece(word.item, word.text, word.begin if place else 0, word.end, until_text, begin, at))
    return pieces


def is_time(time: float | None, latest: float) -> TypeGuard[float]:
    """Return whether the service sent a time that is plausible."""
    return time is not None and time <= latest
