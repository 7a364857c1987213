"""Cleans the names of recordings: removes characters that can deceive readers, and keeps all others as typed.

A stored name is never part of a path, so it may contain any punctuation. `cleaned` makes a name safe for a file that
a person downloads.
"""

import unicodedata

MAX_LENGTH = 255
MAX_SUFFIX = 20  # the text after the last dot counts as an extension if it is not longer
NAMELESS = "recording"
# They change the direction of the text around them, so that "annexe‮3pm.exe" can look like another name.
BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
BLANKS = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # letters and symbols that are drawn as blanks
LINE_ENDS = frozenset("\u2028\u2029")


def of_file(given: str) -> str:
    """Return the name of an uploaded file without the folders that some clients send with it."""
    return cleaned(given.replace("\\", "/").rsplit("/", 1)[-1]) or NAMELESS


def cleaned(given: str) -> str:
    """Return a name for a downloaded file: as `typed`, but without slashes and without a leading dot.

    Returns "" if no visible character is left.
    """
    return typed(given.replace("/", "-").replace("\\", "-").strip().lstrip("."))


def typed(given: str) -> str:
    """Return a name on one line, of at most 255 characters, without control characters. Keeps the file extension.

    Quotes, slashes, percent signs, emoji and every script are kept. Returns "" if no visible character is left.
    """
    name = " ".join("".join(filter(is_printed, given)).split())
    if all(unicodedata.category(letter) == "Cf" or letter in BLANKS or letter in " ." for letter in name):
        return ""
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(suffix) > MAX_SUFFIX:
        return name[:MAX_LENGTH].strip()
    return stem[: MAX_LENGTH - len(suffix) - 1].strip() + dot + suffix


def is_printed(letter: str) -> bool:
    """Return whether a name may contain a character. Emoji and joiners are allowed, lone surrogates are not."""
    if letter in BIDI_CONTROLS or letter in LINE_ENDS:
        return False
    return letter.isspace() or unicodedata.category(letter) not in {"Cc", "Cs"}
