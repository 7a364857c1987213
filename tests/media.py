"""Creates many kinds of media files from the same speech with Debian's ffmpeg and sox, and measures their timing.

The tests use some of the kinds. `python -m benchmarks media` uses all of them; docs/media.md has its results.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from tests import recordings
from uploads.decoder.client import DECODER

RATE = 16_000
SECONDS = 20.0
PART_SECONDS = 10.0  # the length of the parts that are searched for, at the beginning and at the end of the speech
SLACK_SECONDS = 0.5  # a part is searched for so long before and after its right place
PAUSE_STARTS = (4.78, 8.47, 13.1, 17.1)  # where pauses of 0.3 s are inserted into the speech

FFMPEG = "ffmpeg -nostdin -v error -y"
PICTURE = "-f lavfi -t 30 -i testsrc=s=160x120:r=10"
SMALL_PICTURE = "-f lavfi -t 30 -i testsrc=s=176x144:r=25"
FRAGMENTED = "-movflags +frag_keyframe+empty_moov"
PAUSED_FROM = (4.8, 8.79, 13.72, 18.02)  # where the pauses are in the file: each is later by the ones before it
PAUSES = "+".join(rf"between(pts*tb\,{at}\,{at + 0.26:.2f})" for at in PAUSED_FROM)


@dataclass(frozen=True)
class Kind:
    """A kind of file. `recipe` is the shell script that makes it from `$speech`; its path begins with `$out`."""

    name: str
    recipe: str
    offset: float = 0.0  # by how many seconds its speech is later than in the source
    pauses: bool = False  # whether it is made from the speech with four pauses of 0.3 s


def encoded(name: str, suffix: str, options: str = "") -> Kind:
    return Kind(name, f"{FFMPEG} -i $speech {options} $out.{suffix}")


def beside_picture(name: str, suffix: str, options: str, offset: float, picture: str = PICTURE) -> Kind:
    recipe = f"{FFMPEG} {picture} -itsoffset {offset:g} -i $speech -map 0 -map 1 {options} $out.{suffix}"
    return Kind(f"{name}, audio {offset:+g} s", recipe, max(0.0, offset))


KINDS = [
    encoded("WAV, 16 bit", "wav"),
    encoded("WAV, 8 bit, 11.025 kHz", "wav", "-c:a pcm_u8 -ar 11025"),
    encoded("WAV, µ-law, 8 kHz", "wav", "-c:a pcm_mulaw -ar 8000"),
    encoded("WAV, Microsoft ADPCM", "wav", "-c:a adpcm_ms -ar 22050"),
    encoded("WAV, IMA ADPCM", "wav", "-c:a adpcm_ima_wav -ar 22050"),
    encoded("WAV, GSM", "wav", "-c:a libgsm_ms -ar 8000"),
    encoded("WAV, MP3", "wav", "-c:a libmp3lame"),
    encoded("WAV, AC-3", "wav", "-c:a ac3"),
    encoded("W64", "w64"),
    encoded("AIFF", "aiff"),
    encoded("CAF, PCM", "caf", "-c:a pcm_s16be"),
    encoded("CAF, ALAC", "caf", "-c:a alac"),
    encoded("AU", "au"),
    encoded("FLAC", "flac"),
    encoded("FLAC in Ogg", "oga", "-c:a flac"),
    encoded("FLAC in Matroska", "mka", "-c:a flac"),
    encoded("ALAC in M4A", "m4a", "-c:a alac"),
    encoded("AAC in M4A", "m4a", "-c:a aac"),
    encoded("AAC in M4A, 44.1 kHz", "m4a", "-c:a aac -ar 44100"),
    encoded("AAC in M4A, 8 kHz", "m4a", "-c:a aac -ar 8000"),
    encoded("AAC in MP4 without edit list", "mp4", "-c:a aac -use_editlist 0"),
    encoded("AAC in fragmented MP4", "mp4", f"-c:a aac {FRAGMENTED} -frag_duration 1000000"),
    encoded("AAC in fragmented MP4, delayed header", "mp4", "-c:a aac -movflags +frag_keyframe+delay_moov"),
    encoded("AAC, ADTS", "aac", "-c:a aac"),
    encoded("AAC, LATM", "latm", "-c:a aac -f latm"),
    encoded("AAC in Matroska", "mkv", "-c:a aac"),
    encoded("AAC in MPEG-TS", "ts", "-c:a aac"),
    encoded("AAC in FLV", "flv", "-c:a aac"),
    encoded("AAC in AVI", "avi", "-c:a aac"),
    encoded("MP3, LAME header", "mp3"),
    encoded("MP3, no header", "mp3", "-write_xing 0"),
    encoded("MP3, variable bit rate", "mp3", "-q:a 5"),
    encoded("MP3, variable bit rate, no header", "mp3", "-q:a 5 -write_xing 0"),
    encoded("MP3, 22.05 kHz", "mp3", "-ar 22050"),
    encoded("MP3 in Matroska", "mka", "-c:a libmp3lame -ar 44100"),
    encoded("MP3 in AVI", "avi", "-c:a libmp3lame"),
    encoded("MP3 in MP4", "mp4", "-c:a libmp3lame"),
    encoded("MP3 in MPEG-TS", "ts", "-c:a libmp3lame"),
    encoded("MP3 in FLV", "flv", "-c:a libmp3lame -ar 44100"),
    encoded("MP2 in MPEG-TS", "ts", "-c:a mp2"),
    encoded("MP2 in MPEG-PS", "mpg", "-c:a mp2"),
    encoded("AC-3 in MPEG-TS", "ts", "-c:a ac3"),
    encoded("AC-3 in MPEG-PS", "vob", "-c:a ac3"),
    encoded("E-AC-3 in MP4", "mp4", "-c:a eac3"),
    encoded("Opus in Ogg", "opus", "-c:a libopus"),
    encoded("Opus in WebM", "webm", "-c:a libopus"),
    encoded("Opus in WebM, live", "webm", "-c:a libopus -live 1"),
    encoded("Opus in MP4", "mp4", "-c:a libopus"),
    encoded("Opus in MPEG-TS", "ts", "-c:a libopus"),
    encoded("Opus in Matroska, 2.5 ms packets", "mka", "-c:a libopus -frame_duration 2.5"),
    encoded("Vorbis in Ogg", "ogg", "-c:a libvorbis"),
    encoded("Vorbis in WebM", "webm", "-c:a libvorbis"),
    encoded("Speex in Ogg", "spx", "-c:a libspeex -ar 16000"),
    encoded("WMA 1 in ASF", "wma", "-c:a wmav1"),
    encoded("WMA 2 in ASF", "wma", "-c:a wmav2"),
    encoded("ADPCM in QuickTime", "mov", "-c:a adpcm_ima_qt"),
    encoded("PCM in QuickTime", "mov", "-c:a pcm_s16le"),
    encoded("Nellymoser in FLV", "flv", "-c:a nellymoser -ar 22050"),
    encoded("DTS in Matroska", "mka", "-c:a dca -strict -2 -ac 2"),
    encoded("TTA", "tta"),
    Kind("AMR-NB with pauses as comfort noise", "sox $speech -r 8000 -c 1 $out.amr-nb"),
    Kind("AMR-NB in 3GP", f"sox $speech -r 8000 -c 1 $out.amr-nb && {FFMPEG} -i $out.amr-nb -c copy $out.3gp"),
    Kind("GSM", "sox $speech -r 8000 -c 1 $out.gsm"),
    Kind("VOC", "sox $speech -r 16000 $out.voc"),
    # Audio that starts later or earlier than the picture
    *(
        beside_picture(name, suffix, options, offset, picture)
        for name, suffix, options, picture in (
            ("H.264 and AAC in Matroska", "mkv", "-c:v libx264 -c:a aac", PICTURE),
            ("H.264 and AAC in MP4", "mp4", "-c:v libx264 -c:a aac", PICTURE),
            ("H.264 and AAC in fragmented MP4", "mp4", f"-c:v libx264 -c:a aac {FRAGMENTED}", PICTURE),
            ("H.264 and PCM in QuickTime", "mov", "-c:v libx264 -c:a pcm_s16le", PICTURE),
            ("H.264 and AAC in MPEG-TS", "ts", "-c:v libx264 -c:a aac", PICTURE),
            ("H.264 and AAC in FLV", "flv", "-c:v libx264 -c:a aac", PICTURE),
            ("MPEG-4 and MP3 in AVI", "avi", "-c:v mpeg4 -c:a libmp3lame", PICTURE),
            ("MPEG-4 and PCM in AVI", "avi", "-c:v mpeg4 -c:a pcm_s16le", PICTURE),
            ("MPEG-2 and MP2 in MPEG-PS", "mpg", "-c:v mpeg2video -c:a mp2", SMALL_PICTURE),
            ("VP8 and Opus in WebM", "webm", "-c:v libvpx -c:a libopus", PICTURE),
            ("WMV and WMA in ASF", "wmv", "-c:v wmv2 -c:a wmav2", PICTURE),
        )
        for offset in (0.0, 0.3, 7.0)
        if not (suffix == "avi" and offset)  # AVI has no start time: FFmpeg's players play such files from 0 too
    ),
    Kind("AAC in MP4, audio alone, +7 s", f"{FFMPEG} -itsoffset 7 -i $speech -c:a aac $out.mp4", 7.0),
    Kind("AAC in Matroska, audio alone, +7 s", f"{FFMPEG} -itsoffset 7 -i $speech -c:a aac $out.mkv", 7.0),
    Kind("Opus in WebM, audio alone, +0.4 s", f"{FFMPEG} -itsoffset 0.4 -i $speech -c:a libopus $out.webm", 0.4),
    # Timestamps that wrap or jump
    Kind("MPEG-TS whose times wrap", f"{FFMPEG} -i $speech -c:a aac -output_ts_offset 95430 $out.ts"),
    Kind(
        "MPEG-TS, two recordings joined",
        f"{FFMPEG} -t 10 -i $speech -c:a mp2 $out.1.ts && {FFMPEG} -ss 10 -i $speech -c:a mp2 $out.2.ts && "
        "cat $out.1.ts $out.2.ts > $out.ts",
    ),
    Kind(
        "AAC in MP4, cut at 5 s without encoding",
        f"{FFMPEG} -i $speech -c:a aac $out.whole.mp4 && {FFMPEG} -ss 5 -i $out.whole.mp4 -c copy $out.mp4",
        -5.0,
    ),
    # Gaps: the file does not contain the packets of the pauses
    *(
        Kind(
            f"{name}, packets of the pauses missing",
            f"{FFMPEG} -i $speech {options} $out.whole.{suffix} && "
            f"{FFMPEG} -i $out.whole.{suffix} -c copy -bsf:a 'noise=drop={PAUSES}' $out.{suffix}",
            pauses=True,
        )
        for name, suffix, options in (
            ("Opus in WebM", "webm", "-c:a libopus"),
            ("Opus in WebM, 2.5 ms packets", "webm", "-c:a libopus -frame_duration 2.5"),
            ("AAC in Matroska", "mkv", "-c:a aac"),
            ("AAC in MP4", "mp4", "-c:a aac"),
            ("AAC in FLV", "flv", "-c:a aac"),
            ("AAC in MPEG-TS", "ts", "-c:a aac"),
            ("MP3 in Matroska", "mkv", "-c:a libmp3lame"),
            ("WMA 2 in ASF", "wma", "-c:a wmav2"),
        )
    ),
]


HOUR = [
    encoded("MP3, 44.1 kHz, stereo, an hour", "mp3", "-ar 44100 -ac 2 -b:a 64k"),
    encoded("AAC in M4A, 44.1 kHz, an hour", "m4a", "-c:a aac -ar 44100 -b:a 48k"),
    encoded("AAC in Matroska, an hour", "mkv", "-c:a aac -b:a 48k"),
    encoded("Opus in WebM, an hour", "webm", "-c:a libopus -b:a 24k"),
    encoded("WAV, 11.025 kHz, an hour", "wav", "-ar 11025"),
    encoded("WAV, µ-law, 8 kHz, an hour", "wav", "-c:a pcm_mulaw -ar 8000"),
    encoded("MP3 in MPEG-TS, an hour", "ts", "-c:a libmp3lame -b:a 64k"),
]


def run(script: str, **variables: object) -> None:
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin"} | {name: str(value) for name, value in variables.items()}
    subprocess.run(["sh", "-c", script], check=True, env=environment)


@cache
def speech(*, has_pauses: bool = False) -> Path:
    """Return 20 s of speech at 48 kHz, or the same with four pauses of 0.3 s."""
    plain, paused = recordings.folder() / "speech.wav", recordings.folder() / "paused.wav"
    run(f"{FFMPEG} -i $from -t {SECONDS:g} $to", **{"from": recordings.speech("two_cities"), "to": plain})
    run(f"sox $from $to pad {' '.join(f'0.3@{at}' for at in PAUSE_STARTS)}", **{"from": plain, "to": paused})
    return paused if has_pauses else plain


@cache
def hour() -> Path:
    """Return an hour of speech at 48 kHz."""
    target = recordings.folder() / "hour.wav"
    run(f"{FFMPEG} -stream_loop 90 -i $from -t 3600 $to", **{"from": recordings.speech("two_cities"), "to": target})
    return target


def make(kind: Kind, source: Path | None = None) -> Path:
    """Return a file of this kind, made from `source` or from the speech with or without pauses."""
    out = recordings.folder() / "".join(letter if letter.isalnum() else "-" for letter in kind.name)
    run(kind.recipe, speech=source or speech(has_pauses=kind.pauses), out=out)
    return out.with_name(out.name + kind.recipe.rsplit("$out", 1)[1])


@cache
def clean(path: Path) -> np.ndarray:
    """Return the samples of a WAV at RATE. sox decodes it, so that the result does not depend on our code."""
    return np.frombuffer(subprocess.check_output(["sox", path, "-r", str(RATE), "-t", "s16", "-"]), "<i2")


def probed_seconds(path: Path) -> float:
    """Return the duration that our decoder finds."""
    probed = subprocess.run([sys.executable, "-I", DECODER, "probe", path], capture_output=True, check=True)
    return float(json.loads(probed.stdout)["duration"])


def spool(path: Path) -> np.ndarray:
    """Return the samples at RATE that our decoder writes for a job."""
    command = [sys.executable, "-I", DECODER, "pcm", path, "--rate", str(RATE)]
    return np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, "<i2")


def lag(found: np.ndarray, wanted: np.ndarray, start: float, offset: float = 0.0) -> float:
    """Return how many seconds too late the ten seconds of `wanted` from `start` on are in `found`.

    They should be later than in `wanted` by `offset` seconds. Their position is found by cross-correlation.
    """
    part = wanted[round(start * RATE) :][: round(PART_SECONDS * RATE)].astype(float)
    begin = max(0, round((start + offset - SLACK_SECONDS) * RATE))
    searched = found[begin : begin + len(part) + round(2 * SLACK_SECONDS * RATE)].astype(float)
    size = 1 << (len(part) + len(searched)).bit_length()
    correlation = np.fft.irfft(np.fft.rfft(searched, size) * np.conj(np.fft.rfft(part, size)), size)
    best = int(np.argmax(np.abs(correlation)))
    return (begin + (best if best < len(searched) else best - size)) / RATE - start - offset


def lags(kind: Kind, found: np.ndarray, wanted: np.ndarray) -> tuple[float, float]:
    """Return how many seconds too late the first and the last ten seconds of speech are."""
    cut = max(0.0, -kind.offset)
    return lag(found, wanted, cut, kind.offset), lag(found, wanted, len(wanted) / RATE - PART_SECONDS, kind.offset)
