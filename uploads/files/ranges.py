"""Parses the Range header of a request for a file (RFC 9110, section 14). `serving.py` calls it."""

import re
from dataclasses import dataclass

HEADER = re.compile(r"bytes=[ \t]*(.*)", re.IGNORECASE | re.DOTALL)
PART = re.compile(r"([0-9]{0,30})-([0-9]{0,30})")


class Unsatisfiable(Exception):
    """The requested range lies outside the file. The view answers with 416."""


@dataclass(frozen=True)
class Range:
    """The bytes from `start` (included) to `stop` (excluded)."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        return self.stop - self.start

    def content_range(self, size: int) -> str:
        return f"bytes {self.start}-{self.stop - 1}/{size}"


def parse(header: str | None, size: int) -> Range | None:
    """Return the part of a file of `size` bytes that `header` requests, or None for the whole file.

    Ignores a malformed header, as section 14.2 requires. Also ignores a header with several ranges: the server may
    answer it with the whole file, and no player sends one. Raises Unsatisfiable.
    """
    match = HEADER.fullmatch(header or "")
    parts = [part for part in (text.strip(" \t") for text in match[1].split(",")) if part] if match else []
    asked = PART.fullmatch(parts[0]) if len(parts) == 1 else None
    if asked is None or asked[0] == "-":
        return None
    first, last = asked.groups()
    if not first:  # a suffix range: the last `last` bytes
        if not int(last) or not size:
            raise Unsatisfiable
        return Range(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise Unsatisfiable
    return Range(int(first), min(int(last) + 1, size) if last else size)
