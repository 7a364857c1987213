"""Finds audio that a file holds beyond the length in its header, as interrupted recorders leave it.

FFmpeg, like every player, stops where the header says that the audio ends. Called by the decoder; nothing here needs
Django.
"""

import os
import struct
from typing import BinaryIO, NamedTuple

# Form → (byte order, the chunk that holds the audio). AIFF is written in the other byte order.
FORMS = {b"RIFF": ("<", b"data"), b"RF64": ("<", b"data"), b"BW64": ("<", b"data"), b"FORM": (">", b"SSND")}
UNKNOWN_SIZES = (0, 0xFFFFFFFF)  # the header was never completed: FFmpeg then reads to the end of the file
CHUNKS = 1000  # looked at before a file is given up: a hostile one may consist of nothing else
LOOK_BYTES = 64 * 1024


class Audio(NamedTuple):
    """The chunk of a file that holds the audio: `begin` and `length` (bytes) as its header declares them."""

    form: bytes
    begin: int
    length: int


def undeclared_seconds(path: str, seconds: float) -> float:
    """Return how much audio follows the declared end; the declared audio lasts `seconds`. 0.0 for other formats."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        audio = _audio(file)
        if audio is None or audio.length in UNKNOWN_SIZES or audio.begin + audio.length >= size:
            return 0.0
        rest = _rest(file, FORMS[audio.form][0], audio.begin + audio.length + audio.length % 2, size)
    return seconds * rest / audio.length


def has_true_length(path: str) -> bool:
    """Tell whether the header of a WAV says how many bytes of samples the file holds.

    Recorders that were switched off leave 0 there, which Firefox refuses to play.
    """
    with open(path, "rb") as file:
        audio = _audio(file)
        size = os.fstat(file.fileno()).st_size
    return audio is not None and audio.form == b"RIFF" and 0 < audio.length <= size - audio.begin


def _audio(file: BinaryIO) -> Audio | None:
    """Return the audio as declared; None where it isn't."""
    form = file.read(12)[:4]
    order, name = FORMS.get(form, ("", b""))
    place, large = 12, 0
    for _ in range(CHUNKS if order else 0):
        head = _chunk(file, order, place)
        if head is None:
            return None
        chunk, length = head
        if chunk == b"ds64":  # of RF64: the sizes that do not fit 32 bits
            _, large = struct.unpack("<QQ", file.read(16).ljust(16, b"\0"))
        if chunk == name:
            return Audio(form, place + 8, large if length == 0xFFFFFFFF and large else length)
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
