"""Where a text may be cut into lines, and how many columns it takes.

After Unicode's annexes 11 (widths), 14 (line breaking) and 29 (clusters), as far as captions need them.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator

LINE_COLUMNS = 42
JOINER = "\N{ZERO WIDTH JOINER}"
# Characters that no line begins with, and those that no line ends with.
CLOSING = frozenset(",.!?:;%)]}»”’…、。，．！？：；％）］｝」』】》〉ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ")  # noqa: RUF001
OPENING = frozenset("([{«“‘¿¡（［｛「『【《〈")  # noqa: RUF001
SPACE = re.compile(" ")
FLAG_LETTERS = 64  # looked at before a cut; even, so that a longer row of flags is cut between two
THAI_LAO_AM = "\u0e33\u0eb3"  # vowels that belong to the letter before them


def one_line(text: str) -> str:
    """Return a text on one line: an empty line would end a caption and turn the rest into another one."""
    return " ".join(text.split())


def columns(text: str) -> int:
    """Return the columns that a text takes: two for a wide character, one for any other, marks too.

    So a line never has more code points than columns.
    """
    return len(text) if text.isascii() else len(text) + sum(map(_is_wide, text))


def shortened(text: str, most: int) -> str:
    """Return a text that takes at most `most` columns."""
    return text if columns(text) <= most else text[: _fitting(text, 0, len(text), most - 1)].rstrip() + "…"


def breaks(text: str, words: Iterable[int]) -> list[int]:
    """Return the places of a one-line text between which nothing is cut, from 0 to its length; [0] for "".

    `words` are the places where words begin, for scripts without spaces. The text between two places fits a line.
    """
    places = [0]
    for place in _natural_breaks(text, set(words)):
        # One long word, or a script without any. Only as much as a line and its space is measured: else the time would
        # grow with the square of the length.
        while columns(text[places[-1] : min(place, places[-1] + LINE_COLUMNS + 2)].rstrip()) > LINE_COLUMNS:
            places.append(_fitting(text, places[-1], place, LINE_COLUMNS))
        places.append(place)
    return places


def _natural_breaks(text: str, words: set[int]) -> Iterator[int]:
    if text.isascii():  # most often, and quick
        yield from (space.end() for space in SPACE.finditer(text))
    else:
        yield from (place for place in range(1, len(text)) if _may_break(text, place, is_word=place in words))
    if text:
        yield len(text)


def _may_break(text: str, place: int, *, is_word: bool) -> bool:
    before, after = text[place - 1], text[place]
    if before == " " or after == " ":
        return before == " "  # the space stays with what it follows
    if (before + after).isascii() or after in CLOSING or before in OPENING or is_inside_cluster(text, place):
        return False
    return is_word or _is_ideograph(before) or _is_ideograph(after)


def is_inside_cluster(text: str, place: int) -> bool:
    """Tell whether a cut would tear what a reader sees as one character: accents, emoji, flags."""
    before, after = text[place - 1], text[place]
    if before == JOINER or after == JOINER or after in THAI_LAO_AM or unicodedata.category(after).startswith("M"):
        return True
    if "\U0001f3fb" <= after <= "\U0001f3ff" or "\u1160" <= after <= "\u11ff" or "\U000e0020" <= after <= "\U000e007f":
        return True  # a colour of skin, a part of a Hangul syllable, a part of a flag
    begin, first = place, max(0, place - FLAG_LETTERS)
    while begin > first and "\U0001f1e6" <= text[begin - 1] <= "\U0001f1ff":
        begin -= 1
    return "\U0001f1e6" <= after <= "\U0001f1ff" and (place - begin) % 2 == 1  # two letters make a flag


def _fitting(text: str, begin: int, end: int, most: int) -> int:
    """Return the last place up to which the text from `begin` takes `most` columns, between clusters if possible."""
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
    """Tell whether a line may be cut beside a character. Korean is wide too, but has spaces."""
    return _is_wide(character) and not "\uac00" <= character <= "\ud7a3"
