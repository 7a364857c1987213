"""The names of recordings: as people type them, without characters that deceive a reader.

A stored name is never part of a path, so it may hold any punctuation. Names of files that leave the site are `cleaned`.
"""

import unicodedata

MAX_LENGTH = 255
MAX_SUFFIX = 20  # a longer ending is not one
NAMELESS = "recording"
# They turn the direction of the text around them, so that "annexe‮3pm.exe" can look like another name.
BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
BLANKS = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # letters and signs that show nothing
LINE_ENDS = frozenset("\u2028\u2029")


def of_file(given: str) -> str:
    """Return the name of a file that was sent, without the folders that some programs send with it."""
    return cleaned(given.replace("\\", "/").rsplit("/", 1)[-1]) or NAMELESS


def cleaned(given: str) -> str:
    """Return a name for a file: `typed`, without slashes, and without the dot that hides a file.

    Returns "" if nothing that can be seen is left.
    """
    return typed(given.replace("/", "-").replace("\\", "-").strip().lstrip("."))


def typed(given: str) -> str:
    """Return a name of at most 255 characters, its ending kept, on one line and without control characters.

    Quotes, slashes, percent signs, emoji and every script stay. Returns "" if nothing that can be seen is left.
    """
    name = " ".join("".join(filter(is_printed, given)).split())
    if all(unicodedata.category(letter) == "Cf" or letter in BLANKS or letter in " ." for letter in name):
        return ""
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(suffix) > MAX_SUFFIX:
        return name[:MAX_LENGTH].strip()
    return stem[: MAX_LENGTH - len(suffix) - 1].strip() + dot + suffix


def is_printed(letter: str) -> bool:
    """Tell whether a character may be in a name. Emoji and the joiners inside them may; half a character may not."""
    if letter in BIDI_CONTROLS or letter in LINE_ENDS:
        return False
    return letter.isspace() or unicodedata.category(letter) not in {"Cc", "Cs"}
