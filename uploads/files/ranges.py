"""The Range header: which part of a file is asked for (RFC 9110, section 14)."""

import re
from dataclasses import dataclass

HEADER = re.compile(r"bytes=[ \t]*(.*)", re.IGNORECASE | re.DOTALL)
PART = re.compile(r"([0-9]{0,30})-([0-9]{0,30})")


class Unsatisfiable(Exception):
    """Nothing of what is asked for exists: 416."""


@dataclass(frozen=True)
class Range:
    """Bytes from `start` up to, not with, `stop`."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        return self.stop - self.start

    def content_range(self, size: int) -> str:
        return f"bytes {self.start}-{self.stop - 1}/{size}"


def parse(header: str | None, size: int) -> Range | None:
    """Return the part of a file of `size` bytes that `header` asks for, or None for the whole.

    A header that isn't well formed is ignored, as section 14.2 has it, and so is one with several ranges: sending
    the whole is allowed, and no player asks for that. Raises Unsatisfiable.
    """
    match = HEADER.fullmatch(header or "")
    parts = [part for part in (text.strip(" \t") for text in match[1].split(",")) if part] if match else []
    asked = PART.fullmatch(parts[0]) if len(parts) == 1 else None
    if asked is None or asked[0] == "-":
        return None
    first, last = asked.groups()
    if not first:  # the last so many
        if not int(last) or not size:
            raise Unsatisfiable
        return Range(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise Unsatisfiable
    return Range(int(first), min(int(last) + 1, size) if last else size)
