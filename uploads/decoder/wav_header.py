"""Finds audio after the end that the header of a WAV or AIFF file declares. Interrupted recorders leave such files.

FFmpeg, like every player, stops where the audio ends according to the header. The decoder's probe calls this module.
"""

import os
import struct
from typing import BinaryIO, NamedTuple

# Form → (byte order, name of the chunk with the audio). AIFF is big-endian.
FORMS = {b"RIFF": ("<", b"data"), b"RF64": ("<", b"data"), b"BW64": ("<", b"data"), b"FORM": (">", b"SSND")}
UNKNOWN_SIZES = (0, 0xFFFFFFFF)  # the recorder never completed the header: FFmpeg then reads to the end of the file
CHUNKS = 1000  # read at most so many chunk headers: a hostile file may consist of nothing else
LOOK_BYTES = 64 * 1024


class Audio(NamedTuple):
    """The chunk that holds the audio: `begin` is its offset and `length` its declared length, both in bytes."""

    form: bytes
    begin: int
    length: int


def undeclared_seconds(path: str, seconds: float) -> float:
    """Return how many seconds of audio follow the declared end. `seconds` is the length of the declared audio.

    Returns 0.0 for other formats.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        audio = _audio(file)
        if audio is None or audio.length in UNKNOWN_SIZES or audio.begin + audio.length >= size:
            return 0.0
        rest = _rest(file, FORMS[audio.form][0], audio.begin + audio.length + audio.length % 2, size)
    return seconds * rest / audio.length


def has_true_length(path: str) -> bool:
    """Return whether the header of a WAV file declares a length that the file really has.

    Recorders that were switched off leave 0 there, and Firefox refuses to play such files.
    """
    with open(path, "rb") as file:
        audio = _audio(file)
        size = os.fstat(file.fileno()).st_size
    return audio is not None and audio.form == b"RIFF" and 0 < audio.length <= size - audio.begin


def _audio(file: BinaryIO) -> Audio | None:
    """Return the audio chunk as declared, or None if the file has none."""
    form = file.read(12)[:4]
    order, name = FORMS.get(form, ("", b""))
    place, large = 12, 0
    for _ in range(CHUNKS if order else 0):
        head = _chunk(file, order, place)
        if head is None:
            return None
        chunk, length = head
        if chunk == b"ds64":  # RF64 puts sizes of more than 32 bits here
            _, large = struct.unpack("<QQ", file.read(16).ljust(16, b"\0"))
        if chunk == name:
            return Audio(form, place + 8, large if length == 0xFFFFFFFF and large else length)
        place += 8 + length + length % 2
    return None


def _rest(file: BinaryIO, order: str, place: int, size: int) -> int:
    """Return how many bytes of audio follow `place`. Further chunks, an ID3v1 tag and zeros alone are not audio."""
    for _ in range(CHUNKS):
        head = _chunk(file, order, place)
        if head is None or not head[0].isascii() or not head[0].decode().isprintable() or place + 8 + head[1] > size:
            break
        place += 8 + head[1] + head[1] % 2
    file.seek(max(place, size - 128))
    end = size - 128 if file.read(3) == b"TAG" else size  # an ID3v1 tag has 128 bytes
    file.seek(place)
    has_audio = any(file.read(min(LOOK_BYTES, max(0, end - place))))
    return end - place if has_audio else 0


def _chunk(file: BinaryIO, order: str, place: int) -> tuple[bytes, int] | None:
    """Return the name and the length of the chunk at `place`, or None at the end of the file."""
    file.seek(place)
    head = file.read(8)
    return None if len(head) < 8 else struct.unpack(f"{order}4sI", head)
