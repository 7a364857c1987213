"""Finds the positions at which a text may be split into lines, and counts its columns. For captions and exports.

It implements the parts of Unicode's annexes 11 (widths), 14 (line breaking) and 29 (clusters) that captions need.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator

LINE_COLUMNS = 42
JOINER = "\N{ZERO WIDTH JOINER}"
# Characters with which no line may begin, and those with which no line may end.
CLOSING = frozenset(",.!?:;%)]}»”’…、。，．！？：；％）］｝」』】》〉ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ")  # noqa: RUF001
OPENING = frozenset("([{«“‘¿¡（［｛「『【《〈")  # noqa: RUF001
SPACE = re.compile(" ")
FLAG_LETTERS = 64  # how far to look back; even, so that a longer run of flags is split between two flags
THAI_LAO_AM = "\u0e33\u0eb3"  # vowels that form one cluster with the letter before them


def one_line(text: str) -> str:
    """Return a text on one line. An empty line within a caption would end it and start another."""
    return " ".join(text.split())


def columns(text: str) -> int:
    """Return the number of columns of a text: two for a wide character, one for any other, also a combining mark.

    A line therefore never has more code points than columns.
    """
    return len(text) if text.isascii() else len(text) + sum(map(_is_wide, text))


def shortened(text: str, most: int) -> str:
    """Return a text cut to at most `most` columns, with an ellipsis if it was longer."""
    return text if columns(text) <= most else text[: _fitting(text, 0, len(text), most - 1)].rstrip() + "…"


def breaks(text: str, words: Iterable[int]) -> list[int]:
    """Return the positions at which a one-line text may be split, from 0 to its length; [0] for "".

    `words` are the positions where words begin, for scripts without spaces. The text between two positions fits a line.
    """
    places = [0]
    for place in _natural_breaks(text, set(words)):
        # Split a long word, or text of a script without breaks. Measure only a line and its space, because measuring
        # all of it each time would take quadratic time.
        while columns(text[places[-1] : min(place, places[-1] + LINE_COLUMNS + 2)].rstrip()) > LINE_COLUMNS:
            places.append(_fitting(text, places[-1], place, LINE_COLUMNS))
        places.append(place)
    return places


def _natural_breaks(text: str, words: set[int]) -> Iterator[int]:
    if text.isascii():  # the usual case, with a faster path
        yield from (space.end() for space in SPACE.finditer(text))
    else:
        yield from (place for place in range(1, len(text)) if _may_break(text, place, is_word=place in words))
    if text:
        yield len(text)


def _may_break(text: str, place: int, *, is_word: bool) -> bool:
    before, after = text[place - 1], text[place]
    if before == " " or after == " ":
        return before == " "  # a break comes after the space, not before it
    if (before + after).isascii() or after in CLOSING or before in OPENING or is_inside_cluster(text, place):
        return False
    return is_word or _is_ideograph(before) or _is_ideograph(after)


def is_inside_cluster(text: str, place: int) -> bool:
    """Return whether a split at `place` would divide a visible character: an accented letter, an emoji, a flag."""
    before, after = text[place - 1], text[place]
    if before == JOINER or after == JOINER or after in THAI_LAO_AM or unicodedata.category(after).startswith("M"):
        return True
    if "\U0001f3fb" <= after <= "\U0001f3ff" or "\u1160" <= after <= "\u11ff" or "\U000e0020" <= after <= "\U000e007f":
        return True  # a skin tone, a part of a Hangul syllable, a part of a flag of a region
    begin, first = place, max(0, place - FLAG_LETTERS)
    while begin > first and "\U0001f1e6" <= text[begin - 1] <= "\U0001f1ff":
        begin -= 1
    return "\U0001f1e6" <= after <= "\U0001f1ff" and (place - begin) % 2 == 1  # two of these letters form a flag


def _fitting(text: str, begin: int, end: int, most: int) -> int:
    """Return the last position up to which the text from `begin` fits `most` columns, between clusters if possible."""
    place = begin
    while place < end and columns(text[begin : place + 1]) <= most:
        place += 1
    whole = place
    while whole > begin + 1 and whole < len(text) and is_inside_cluster(text, whole):
        whole -= 1
    return whole if whole > begin + 1 else max(place, begin + 1)


def _is_wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF"


def _is_ideograph(character: str) -> bool:
    """Return whether a line may break beside a character. Korean is wide too, but separates words by spaces."""
    return _is_wide(character) and not "\uac00" <= character <= "\ud7a3"
