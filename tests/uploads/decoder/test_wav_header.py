"""WAV and AIFF files with audio after the declared end, and files in which other data follows."""

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests import recordings as made
from uploads.decoder.client import probe
from uploads.decoder.wav_header import undeclared_seconds
from uploads.models import Upload

RATE = 16_000
SECOND = 2 * RATE


def wav(
    declared: float,
    held: float,
    tail: bytes = b"",
    *,
    form: bytes = b"RIFF",
    data_size: int | None = None,
    large: int = 0,
) -> bytes:
    """Return a WAV that declares `declared` seconds of audio and holds `held` seconds of a tone, then `tail`."""
    pcm = made.tone(held).read_bytes()[44:]
    size = round(declared * SECOND) if data_size is None else data_size
    ds64 = struct.pack("<4sIQQQI", b"ds64", 28, 0, large, 0, 0) if large else b""
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE, SECOND, 2, 16)
    riff_size = min(0xFFFFFFFF, 4 + len(ds64) + len(fmt) + 8 + size)
    return (
        struct.pack("<4sI4s", form, riff_size, b"WAVE") + ds64 + fmt + struct.pack("<4sI", b"data", size) + pcm + tail
    )


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack("<4sI", name, len(content)) + content + b"\0" * (len(content) % 2)


def aiff(declared: float, held: float) -> bytes:
    """Return an AIFF written by FFmpeg, with `held` seconds of a tone and a declared length of `declared` seconds."""
    content = bytearray(made.encode(made.tone(held), "aiff").read_bytes())
    place = content.index(b"SSND") + 4
    content[place : place + 4] = struct.pack(">I", 8 + round(declared * SECOND))
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "seconds", "undeclared"),
    [
        (wav(1.0, 3.0), 1.0, 2.0),
        (wav(1.0, 3.0, chunk(b"LIST", b"INFO" + b"x" * 31)), 1.0, 2.0),
        (wav(0.5, 4.0, form=b"RF64", data_size=0xFFFFFFFF, large=SECOND), 1.0, 3.0),
        (aiff(1.0, 3.0), 1.0, 2.0),
        # The header is right, or was never completed; then FFmpeg reads to the end of the file.
        (wav(3.0, 3.0), 3.0, 0.0),
        (wav(3.0, 3.0, data_size=0), 3.0, 0.0),
        (wav(3.0, 3.0, data_size=0xFFFFFFFF), 3.0, 0.0),
        (wav(9.0, 3.0), 3.0, 0.0),
        # The data after the audio is not audio.
        (wav(3.0, 3.0, chunk(b"LIST", b"INFO" + b"x" * 31) + chunk(b"bext", bytes(602))), 3.0, 0.0),
        (wav(3.0, 3.0, chunk(b"id3 ", b"ID3" + bytes(50_000))), 3.0, 0.0),
        (wav(3.0, 3.0, b"TAG" + b"t" * 125), 3.0, 0.0),
        (wav(3.0, 3.0, bytes(4096)), 3.0, 0.0),
        (aiff(3.0, 3.0), 3.0, 0.0),
    ],
)
def test_measures_the_audio_after_the_declared_end(
    tmp_path: Path, content: bytes, seconds: float, undeclared: float
) -> None:
    (tmp_path / "a").write_bytes(content)
    found = probe(tmp_path / "a")
    assert found.duration == pytest.approx(seconds, abs=0.01)
    assert found.undeclared_seconds == pytest.approx(undeclared, abs=0.01)


@pytest.mark.parametrize(
    "suffix", ["wav", "aiff", "flac", "mp3", "m4a", "ogg", "webm", "caf", "amr", "mkv", "avi", "wma"]
)
def test_finds_no_undeclared_audio_in_intact_files_of_any_format(suffix: str) -> None:
    assert probe(made.encode(made.tone(3.0), suffix)).undeclared_seconds == 0.0


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"RIFF",
        b"RIFF\0\0\0\0WAVE",
        b"RIFF\0\0\0\0WAVE" + b"junk\0\0\0\0" * 5000,
        b"RF64\0\0\0\0WAVEds64\x1c\0\0\0",
        wav(1.0, 1.0)[:44],
        wav(1.0, 2.0, b"\xff" * 7),
        wav(1.0, 2.0, b"abcd\xff\xff\xff\xff"),
    ],
)
def test_broken_wav_headers_cause_no_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    assert undeclared_seconds(str(tmp_path / "a"), 1.0) >= 0.0


def test_the_recordings_page_says_that_the_file_holds_more(
    alice: User, client_of: Callable[[User], Client], tmp_path: Path
) -> None:
    client = client_of(alice)
    for name, content in (("short.wav", wav(2.0, 15.0)), ("right.wav", wav(2.0, 2.0))):
        (tmp_path / name).write_bytes(content)
        with open(tmp_path / name, "rb") as file:
            assert client.post("/uploads/", {"file": file}, headers={"Accept": "application/json"}).status_code == 201
    pages = {
        upload.name: client.get(upload.get_absolute_url()).content.decode()
        for upload in Upload.objects.order_by("name")
    }
    sentence = "This file holds more than its header declares: 13 s of audio after the declared end is neither played"
    assert sentence in pages["short.wav"]
    assert "declares" not in pages["right.wav"]
