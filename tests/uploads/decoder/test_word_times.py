"""Speech is at the right times in the spool for many kinds of files, which independent encoders wrote.

`python -m benchmarks media` checks all kinds. The kinds here each depend on a different rule of the decoder.
"""

import json
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from tests import media, recordings
from tests.media import KINDS, RATE, clean, lag, lags, make, probed_seconds, speech, spool
from uploads.decoder.client import DECODER

TRIED = (
    "WAV, GSM",
    "AAC in M4A, 44.1 kHz",
    "AAC, ADTS",
    "AAC in MPEG-TS",
    "MP3, no header",
    "MP3 in Matroska",
    "Opus in WebM, live",
    "WMA 2 in ASF",
    "AMR-NB in 3GP",
    "MPEG-TS whose times wrap",
    "MPEG-TS, two recordings joined",
    "AAC in MP4, cut at 5 s without encoding",
    "AAC in MP4, audio alone, +7 s",
    "H.264 and AAC in Matroska, audio +0.3 s",
    "H.264 and AAC in Matroska, audio +7 s",
    "H.264 and AAC in MP4, audio +0.3 s",
    "H.264 and AAC in fragmented MP4, audio +0 s",
    "H.264 and AAC in MPEG-TS, audio +7 s",
    "MPEG-4 and MP3 in AVI, audio +0 s",
    "Opus in WebM, packets of the pauses missing",
    "AAC in MPEG-TS, packets of the pauses missing",
    "MP3 in Matroska, packets of the pauses missing",
)


@pytest.mark.parametrize("name", TRIED)
def test_speech_is_at_the_right_times_in_every_kind_of_file(name: str) -> None:
    (kind,) = (kind for kind in KINDS if kind.name == name)
    path, wanted = make(kind), clean(speech(has_pauses=kind.pauses))
    found = spool(path)
    first, last = lags(kind, found, wanted)
    assert (first, last) == (pytest.approx(0, abs=0.02), pytest.approx(0, abs=0.02))
    assert len(found) / RATE == pytest.approx(len(wanted) / RATE + kind.offset, abs=0.06)
    assert probed_seconds(path) == pytest.approx(len(found) / RATE, abs=0.06)


def messages_of(mode: str, path: Path) -> dict[str, object]:
    """Return the last message of a decoder."""
    done = subprocess.run([sys.executable, "-I", DECODER, mode, path], capture_output=True, check=True)
    lines = done.stderr if mode == "pcm" else done.stdout
    last: dict[str, object] = json.loads(lines.splitlines()[-1])
    return last


def damaged(path: Path, first: int, count: int) -> Path:
    """Write the speech as AAC in Matroska with `count` undecodable packets from number `first` on. Returns `path`."""
    kind = next(kind for kind in KINDS if kind.name == "AAC in Matroska")
    with av.open(str(make(kind))) as reader, av.open(str(path), "w", format="matroska") as writer:
        stream = writer.add_stream_from_template(reader.streams.audio[0])
        for number, packet in enumerate(reader.demux(audio=0)):
            if packet.dts is None:
                continue
            if first <= number < first + count:
                broken = av.Packet(b"\xff" * packet.size)
                broken.pts, broken.dts, broken.time_base = packet.pts, packet.dts, packet.time_base
                broken.duration = packet.duration
                packet = broken
            packet.stream = stream
            writer.mux(packet)
    return path


@pytest.mark.parametrize("first", [1, 300, 924])
def test_packets_that_cannot_be_decoded_are_silence_of_their_length(first: int, tmp_path: Path) -> None:
    path = damaged(tmp_path / "damaged.mkv", first, 14)
    found, wanted = spool(path), clean(speech())
    seconds = 14 * 1024 / 48_000
    assert len(found) / RATE == pytest.approx(media.SECONDS, abs=0.03)
    assert lag(found, wanted, 0) == pytest.approx(0, abs=0.02)
    assert lag(found, wanted, 10) == pytest.approx(0, abs=0.02)
    middle = round((first * 1024 / 48_000 + seconds / 2) * RATE)
    assert np.abs(found[middle - 1_000 : middle + 1_000]).max() == 0
    for mode in ("pcm", "peaks"):
        assert messages_of(mode, path)["skipped_seconds"] == pytest.approx(seconds, abs=0.03)
    assert probed_seconds(path) == pytest.approx(media.SECONDS, abs=0.03)


def with_times(path: Path, *starts: float) -> Path:
    """Write 60 ms of tone at each of these times, in seconds. Returns `path`."""
    with av.open(str(recordings.tone(0.06))) as reader, av.open(str(path), "w", format="matroska") as writer:
        (packet,) = [packet for packet in reader.demux(audio=0) if packet.size]
        stream = writer.add_stream_from_template(reader.streams.audio[0])
        content = bytes(packet)
        for start in starts:
            piece = av.Packet(content)
            piece.time_base, piece.stream = packet.time_base, stream
            piece.pts = piece.dts = round(start / packet.time_base)
            writer.mux(piece)
    return path


def test_a_probe_stops_at_the_limit_when_timestamps_jump_repeatedly(tmp_path: Path) -> None:
    path = with_times(
        tmp_path / "leaps.mkv", *(3_000.0 * leap + 0.06 * part for leap in range(40) for part in range(5))
    )
    command = [sys.executable, "-I", DECODER, "pcm", path, "--rate", "8000", "--max-seconds", "7200"]
    done = subprocess.run(command, capture_output=True)
    assert len(done.stdout) == 7_200 * 8_000 * 2
    assert json.loads(done.stderr.splitlines()[-1])["error"] == "The recording is longer than 2 hours."
    assert probed_seconds(path) > 30 * 3_000  # so the site refuses the upload
