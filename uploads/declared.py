"""Finds audio that a file holds beyond the length in its header, as interrupted recorders leave it.

FFmpeg, like every player, stops where the header says that the audio ends. Called by the decoder; nothing here needs
Django.
"""

import os
import struct
from typing import BinaryIO

# Form → (byte order, the chunk that holds the audio). AIFF is written in the other byte order.
FORMS = {b"RIFF": ("<", b"data"), b"RF64": ("<", b"data"), b"BW64": ("<", b"data"), b"FORM": (">", b"SSND")}
UNKNOWN_SIZES = (0, 0xFFFFFFFF)  # the header was never completed: FFmpeg then reads to the end of the file
CHUNKS = 1000  # looked at before a file is given up: a hostile one may consist of nothing else
LOOK_BYTES = 64 * 1024


def undeclared_seconds(path: str, seconds: float) -> float:
    """Return how much audio follows the declared end; the declared audio lasts `seconds`. 0.0 for other formats."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        found = _audio(file, size)
        if found is None:
            return 0.0
        order, begin, declared = found
        rest = _rest(file, order, begin + declared + declared % 2, size)
    return seconds * rest / declared


def _audio(file: BinaryIO, size: int) -> tuple[str, int, int] | None:
    """Return the byte order, and place and length (bytes) of the audio as declared; None where they aren't."""
    order, name = FORMS.get(file.read(12)[:4], ("", b""))
    place, large = 12, 0
    for _ in range(CHUNKS if order else 0):
        head = _chunk(file, order, place)
        if head is None:
            return None
        chunk, length = head
        if chunk == b"ds64":  # of RF64: the sizes that do not fit 32 bits
            _, large = struct.unpack("<QQ", file.read(16).ljust(16, b"\0"))
        if chunk == name:
            length = large if length == 0xFFFFFFFF and large else length
            return None if length in UNKNOWN_SIZES or place + 8 + length >= size else (order, place + 8, length)
        place += 8 + length + length % 2
    return None


def _rest(file: BinaryIO, order: str, place: int, size: int) -> int:
    """Return the bytes from `place` on that are no chunks, no tag and not only zeros."""
    for _ in range(CHUNKS):
        head = _chunk(file, order, place)
        if head is None or not head[0].isascii() or not head[0].decode().isprintable() or place + 8 + head[1] > size:
            break
        place += 8 + head[1] + head[1] % 2
    file.seek(max(place, size - 128))
    end = size - 128 if file.read(3) == b"TAG" else size  # ID3v1
    file.seek(place)
    has_audio = any(file.read(min(LOOK_BYTES, max(0, end - place))))
    return end - place if has_audio else 0


def _chunk(file: BinaryIO, order: str, place: int) -> tuple[bytes, int] | None:
    file.seek(place)
    head = file.read(8)
    return None if len(head) < 8 else struct.unpack(f"{order}4sI", head)
