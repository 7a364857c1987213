"""Decoding one audio track: formats, lengths, gaps, damaged files, and files that are refused."""

import errno
import os
import shutil
import struct
import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest

from tests import recordings
from uploads.decoder.audio_track import Recording
from uploads.decoder.demux import Refused, demuxed
from uploads.decoder.placement import seconds
from uploads.decoder.resampling import pcm

RATE = 16_000


def samples_of(path: Path, rate: int = RATE, channels: int = 1) -> np.ndarray:
    """Decode a file in this process. Returns an array of frames by channels."""
    joined = b"".join(pcm(Recording(str(path)), rate, channels))
    return np.frombuffer(joined, "<i2").reshape(-1, channels).astype(float)


def likeness(found: np.ndarray, original: np.ndarray) -> float:
    """Return the correlation of the loudness of two recordings over time, for a delay of up to 0.2 s by a codec."""
    length = min(len(found), len(original)) // 400
    loud, wanted = (np.abs(each[: length * 400, 0].reshape(length, 400)).mean(axis=1) for each in (found, original))
    return max(np.corrcoef(np.roll(loud, delay), wanted)[0, 1] for delay in range(-8, 9))


# Formats


@pytest.mark.parametrize("suffix", recordings.FORMATS)
def test_decodes_every_usual_format_to_the_same_speech(suffix: str) -> None:
    original = samples_of(recordings.speech())
    found = samples_of(recordings.encode(recordings.speech(), suffix))
    assert abs(len(found) - len(original)) < 0.1 * RATE
    assert likeness(found, original) > 0.94


@pytest.mark.parametrize("suffix", sorted(recordings.FORMATS.keys() - {"mka"}))
def test_finds_the_length_without_decoding(suffix: str) -> None:
    path = recordings.encode(recordings.speech(), suffix)
    assert seconds(Recording(str(path))) == pytest.approx(9.963, abs=0.1)


def test_returns_no_length_if_the_packets_do_not_declare_theirs() -> None:
    assert seconds(Recording(str(recordings.encode(recordings.speech(), "mka")))) is None


def test_ignores_the_file_name_when_decoding(tmp_path: Path) -> None:
    path = tmp_path / "playlist.m3u8"
    shutil.copy(recordings.encode(recordings.speech(), "m4a"), path)
    assert Recording(str(path)).codec == "aac"


def test_resamples_to_the_exact_number_of_samples() -> None:
    assert len(samples_of(recordings.tone(1.0, rate=44_100), 8_000)) == 8_000


def test_keeps_two_channels_apart() -> None:
    both = samples_of(recordings.tone(1.0, channels=2, hz=400), channels=2)
    peaks = [int(np.argmax(np.abs(np.fft.rfft(both[:, channel])))) for channel in (0, 1)]
    assert peaks == [400, 800]


def test_mixes_two_channels_to_one() -> None:
    spectrum = np.abs(np.fft.rfft(samples_of(recordings.tone(1.0, channels=2, hz=400))[:, 0]))
    assert set(np.argsort(spectrum)[-2:]) == {400, 800}


@pytest.mark.parametrize("channels", [3, 4, 6, 8])
@pytest.mark.parametrize("wanted", [1, 2])
def test_mixes_channels_without_speaker_positions(channels: int, wanted: int) -> None:
    samples = np.zeros((RATE, channels))
    samples[:, channels - 1] = 16_000 * np.sin(np.arange(RATE) / 10)
    mixed = samples_of(recordings.write_wav(f"tracks-{channels}", samples, RATE), channels=wanted)
    assert mixed.shape == (RATE, wanted)
    assert np.abs(mixed).max() > 1_000


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le", "pcm_mulaw"])
def test_decodes_every_sample_format(codec: str, tmp_path: Path) -> None:
    path = tmp_path / "sound"
    with av.open(str(recordings.tone(1.0))) as reader, av.open(str(path), "w", format="wav") as writer:
        stream = writer.add_stream(codec, rate=RATE, layout="mono")
        resampler = av.AudioResampler(stream.format, "mono", RATE)
        for frame in [*reader.decode(audio=0), None]:
            for part in resampler.resample(frame):
                writer.mux(stream.encode(part))
        writer.mux(stream.encode(None))
    assert np.abs(samples_of(path) - samples_of(recordings.tone(1.0))).max() < 600


def test_decodes_recordings_that_were_joined_at_different_rates(tmp_path: Path) -> None:
    path = tmp_path / "joined.mp3"
    parts = [recordings.tone(2.0, rate=rate, suffix="mp3") for rate in (16_000, 44_100)]
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert len(samples_of(path)) == pytest.approx(4 * RATE, abs=0.2 * RATE)


def test_opens_files_with_titles_in_any_encoding(tmp_path: Path) -> None:
    path = tmp_path / "titled.wav"
    info = b"INFOINAM" + struct.pack("<I", 6) + b"G\xe4\xdfe\xff\x00"
    chunk = b"LIST" + struct.pack("<I", len(info)) + info
    plain = recordings.tone(1.0).read_bytes()
    path.write_bytes(plain[:4] + struct.pack("<I", len(plain) + len(chunk) - 8) + plain[8:36] + chunk + plain[36:])
    with pytest.raises(UnicodeDecodeError):
        av.open(str(path))  # PyAV's default fails
    assert len(samples_of(path)) == RATE


def test_decodes_a_file_with_a_cover_picture(tmp_path: Path) -> None:
    path = tmp_path / "covered.mp3"
    rows = zlib.compress(b"\x00\xff\xff\xff")
    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    )
    frame = b"\x00image/png\x00\x03\x00" + png
    tag = b"APIC" + struct.pack(">I", len(frame)) + b"\x00\x00" + frame
    size = bytes((len(tag) >> shift) & 127 for shift in (21, 14, 7, 0))
    path.write_bytes(b"ID3\x03\x00\x00" + size + tag + recordings.tone(2.0, suffix="mp3").read_bytes())
    with av.open(str(path)) as seen:
        assert len(seen.streams.video) == 1
    assert len(samples_of(path)) == pytest.approx(2 * RATE, abs=0.1 * RATE)


# Lengths


def test_a_truncated_wav_has_the_length_of_its_remaining_audio(tmp_path: Path) -> None:
    path = tmp_path / "cut.wav"
    path.write_bytes(recordings.speech().read_bytes()[: 44 + 3 * RATE * 2])
    assert seconds(Recording(str(path))) == pytest.approx(3.0, abs=0.1)
    assert len(samples_of(path)) == pytest.approx(3 * RATE, abs=0.1 * RATE)


def test_finds_the_length_of_a_recording_made_by_a_browser(tmp_path: Path) -> None:
    path = tmp_path / "recorded.webm"
    source = str(recordings.encode(recordings.speech(), "webm"))
    with av.open(source) as reader, av.open(str(path), "w", format="webm", options={"live": "1"}) as writer:
        stream = writer.add_stream_from_template(reader.streams.audio[0])
        for packet in reader.demux(audio=0):
            if packet.dts is not None:
                packet.stream = stream
                writer.mux(packet)
    with av.open(str(path)) as seen:
        assert seen.duration is None
    assert seconds(Recording(str(path))) == pytest.approx(9.963, abs=0.1)


def with_hole(path: Path, start: float, hole: float) -> Path:
    """Write a second of tone at `start`, and another one after a gap of `hole` seconds in the timestamps."""
    with av.open(str(path), "w", format="matroska") as writer:
        stream = writer.add_stream("pcm_s16le", rate=RATE, layout="mono")
        picture = writer.add_stream("mpeg4", rate=25)
        picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
        still = av.VideoFrame(64, 64, "yuv420p")
        still.pts, still.time_base = 0, Fraction(1, 25)
        writer.mux(picture.encode(still))
        writer.mux(picture.encode(None))
        for second in (start, start + 1 + hole):
            wanted = (np.sin(np.arange(RATE) / 10) * 16_000).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(wanted[None], "s16", "mono")
            frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
            frame.pts = round(second * RATE)
            writer.mux(stream.encode(frame))
        writer.mux(stream.encode(None))
    return path


def test_fills_gaps_in_the_timestamps_with_silence(tmp_path: Path) -> None:
    path = with_hole(tmp_path / "holes.mkv", start=2.0, hole=3.0)
    loudest = np.abs(samples_of(path)).reshape(-1, RATE).max(axis=1)
    assert [bool(second > 1_000) for second in loudest] == [False, False, True, False, False, False, True]
    assert seconds(Recording(str(path))) == pytest.approx(7.0, abs=0.01)


def test_ignores_a_gap_of_hours_in_the_timestamps(tmp_path: Path) -> None:
    path = with_hole(tmp_path / "leap.mkv", start=0.0, hole=7_200.0)
    assert len(samples_of(path)) == 2 * RATE


# Damage


@pytest.mark.parametrize("suffix", sorted(recordings.FORMATS.keys() - {"m4a", "mp4"}))
def test_decodes_the_remaining_part_of_a_truncated_file(suffix: str, tmp_path: Path) -> None:
    whole = recordings.encode(recordings.speech(), suffix).read_bytes()
    path = tmp_path / "cut"
    path.write_bytes(whole[: len(whole) // 2])
    assert 3 * RATE < len(samples_of(path)) < 6 * RATE


@pytest.mark.parametrize("suffix", ["mp3", "m4a", "aac", "amr", "flac", "mkv"])
def test_skips_damaged_packets_in_the_middle(suffix: str, tmp_path: Path) -> None:
    content = bytearray(recordings.encode(recordings.speech(), suffix).read_bytes())
    middle, length = len(content) // 2, len(content) // 20
    content[middle : middle + length] = np.random.default_rng(1).bytes(length)
    path = tmp_path / "damaged"
    path.write_bytes(content)
    found = samples_of(path)
    original = samples_of(recordings.speech())
    assert len(found) == pytest.approx(len(original), rel=0.12)
    # The audio before the damage is unchanged, and there is speech after it.
    assert likeness(found[: 4 * RATE], original[: 4 * RATE]) > 0.94
    assert np.abs(found[-2 * RATE :]).max() > 1_000


class Disk:
    """Stands for a container whose reads fail with an error number, as on a failing disk or in a damaged file."""

    def __init__(self, number: int) -> None:
        self.number = number

    def demux(self) -> Iterator[object]:
        yield from ()
        av.error.err_check(-self.number)


def test_an_error_of_the_disk_is_raised_and_not_taken_for_the_end_of_the_file() -> None:
    assert list(demuxed(cast(Any, Disk(errno.ENOMEM)))) == []  # FFmpeg's error for an absurd length in a damaged file
    with pytest.raises(OSError, match="Input/output error"):
        list(demuxed(cast(Any, Disk(errno.EIO))))


# Files that are not recordings


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "The file is empty."),
        (b"Not a recording.\n" * 1_000, "We couldn't read this file as audio or video."),
        (np.random.default_rng(2).bytes(300_000), "We couldn't read this file as audio or video."),
        (b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00", "We couldn't read this file as audio or video."),
    ],
)
def test_refuses_a_file_that_is_not_a_recording(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "file.mp3"
    path.write_bytes(content)
    with pytest.raises(Refused, match=reason):
        Recording(str(path)).first_frame()


def test_refuses_a_video_without_an_audio_track() -> None:
    with pytest.raises(Refused, match="This is a video without an audio track"):
        Recording(str(recordings.video_without_sound()))


def test_refuses_a_folder(tmp_path: Path) -> None:
    with pytest.raises(Refused):
        Recording(str(tmp_path))


def test_refuses_a_named_pipe_without_blocking(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Refused):
        Recording(str(tmp_path / "pipe"))


def test_refuses_an_audio_track_that_cannot_be_decoded(tmp_path: Path) -> None:
    content = bytearray(recordings.encode(recordings.speech(), "mkv").read_bytes())
    name = content.index(b"A_AAC")
    content[name : name + 5] = b"A_XYZ"
    path = tmp_path / "unknown.mkv"
    path.write_bytes(content)
    with pytest.raises(Refused, match="of a kind that can't be decoded"):
        Recording(str(path))
