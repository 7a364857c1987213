"""Creates recordings for the tests: real speech from the recogniser's wheel, in many formats, tones and silence.

Most functions return the path of a file that is created once in a test process and shared by its tests. A test that
changes a file must copy it first.
"""

import atexit
import functools
import struct
import tempfile
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from moonshine_voice.utils import get_assets_path

from streaming.engines.scripted import encode_number

SPEECH = ("two_cities", "beckett", "endgame_nagg_nell")

# Suffix → container, audio codec, video codec or None.
FORMATS = {
    "wav": ("wav", "pcm_s16le", None),
    "flac": ("flac", "flac", None),
    "mp3": ("mp3", "libmp3lame", None),
    "m4a": ("ipod", "aac", None),
    "aac": ("adts", "aac", None),
    "ogg": ("ogg", "libopus", None),
    "oga": ("ogg", "vorbis", None),
    "webm": ("webm", "libopus", None),
    "mp4": ("mp4", "aac", "libx264"),
    "mkv": ("matroska", "aac", "libx264"),
    "avi": ("avi", "libmp3lame", "mpeg4"),
    "wma": ("asf", "wmav2", None),
    "wmv": ("asf", "aac", "mpeg4"),
    "mka": ("matroska", "alac", None),
    "aiff": ("aiff", "pcm_s16be", None),
    "caf": ("caf", "pcm_s16be", None),
    "amr": ("amr", "libopencore_amrnb", None),
    "ts": ("mpegts", "mp2", "mpeg2video"),
}
BIT_RATES = {"libopencore_amrnb": 12_200, "wmav2": 64_000}  # for encoders whose default bit rate does not work


@functools.cache
def folder() -> Path:
    """Return the folder for this test process's recordings. It is deleted when the process ends."""
    made = tempfile.TemporaryDirectory(prefix="transcribe-recordings-")
    atexit.register(made.cleanup)
    return Path(made.name)


def speech(name: str = "beckett") -> Path:
    """Return a WAV file with real speech.

    `two_cities` is 44.4 s at 48 kHz, `beckett` 10.0 s at 16 kHz, `endgame_nagg_nell` 28.3 s at 24 kHz; all mono.
    """
    assert name in SPEECH, name
    return Path(str(get_assets_path())) / f"{name}.wav"


@functools.cache
def encode(source: Path, suffix: str, seconds: float | None = None) -> Path:
    """Return `source`, or its first `seconds`, as a file of the format `suffix` (a key of FORMATS).

    Files in mp4, mkv, avi, wmv and ts are videos with an audio track. More than two channels are mixed to stereo.
    """
    container, codec, video = FORMATS[suffix]
    target = folder() / f"{source.stem}{'' if seconds is None else f'-{seconds:g}s'}.{suffix}"
    with av.open(str(source)) as reader, av.open(str(target), "w", format=container) as writer:
        sound = reader.streams.audio[0]
        rate = {"libopus": 48_000, "libopencore_amrnb": 8_000}.get(codec, sound.rate)
        options = {"strict": "-2"} if codec == "vorbis" else {}
        layout = "stereo" if codec == "vorbis" or (sound.channels > 1 and codec != "libopencore_amrnb") else "mono"
        stream = writer.add_stream(codec, rate=rate, layout=layout, options=options)
        if codec in BIT_RATES:
            stream.bit_rate = BIT_RATES[codec]
        picture = writer.add_stream(video, rate=25) if video else None
        if picture is not None:
            picture.width, picture.height, picture.pix_fmt = 128, 96, "yuv420p"
        stream.codec_context.open()
        frame_size = 0 if codec.startswith("pcm") else stream.codec_context.frame_size
        resampler = av.AudioResampler(stream.format, layout, rate, frame_size=frame_size or None)
        written, shown = 0, 0
        for frame in [*reader.decode(sound), None]:
            for part in resampler.resample(frame):
                if seconds is not None and written >= seconds * rate:
                    break
                part.pts, part.time_base = written, Fraction(1, rate)
                written += part.samples
                writer.mux(stream.encode(part))
                while picture is not None and shown / 25 < written / rate:
                    image = np.full((96, 128, 3), shown % 256, np.uint8)
                    still = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
                    still.pts, still.time_base = shown, Fraction(1, 25)
                    shown += 1
                    writer.mux(picture.encode(still))
        writer.mux(stream.encode(None))
        if picture is not None:
            writer.mux(picture.encode(None))
    return target


@functools.cache
def tone(
    seconds: float = 1.0,
    *,
    rate: int = 16_000,
    channels: int = 1,
    hz: float = 440.0,
    volume: float = 0.5,
    suffix: str = "wav",
) -> Path:
    """Return a sine tone. Channel n has n + 1 times the frequency `hz`, so that tests can distinguish channels."""
    times = np.arange(round(seconds * rate)) / rate
    sines = [volume * np.sin(2 * np.pi * hz * (channel + 1) * times) for channel in range(channels)]
    samples = (np.stack(sines, axis=1) * 32767).astype("<i2")
    target = write_wav(f"tone-{seconds:g}s-{rate}-{channels}-{hz:g}-{volume:g}", samples, rate)
    return target if suffix == "wav" else encode(target, suffix)


def silence(seconds: float = 1.0, *, rate: int = 16_000, channels: int = 1, suffix: str = "wav") -> Path:
    """Return digital silence."""
    return tone(seconds, rate=rate, channels=channels, volume=0.0, suffix=suffix)


def long_silence(seconds: int, *, rate: int = 16_000) -> Path:
    """Return a silent WAV of any length as a sparse file, which occupies almost no disk space."""
    target = write_wav(f"long-silence-{seconds}-{rate}", np.zeros((0, 1)), rate)
    size = seconds * rate * 2
    with open(target, "r+b") as file:
        file.seek(4)
        file.write(struct.pack("<I", 36 + size))
        file.seek(40)
        file.write(struct.pack("<I", size))
        file.truncate(44 + size)
    return target


def write_wav(stem: str, samples: np.ndarray, rate: int) -> Path:
    """Write `samples` (frames by channels, 16-bit) to a WAV file in `folder()` and return its path."""
    target = folder() / f"{stem}.wav"
    with wave.open(str(target), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return target


def video_without_sound(seconds: float = 1.0) -> Path:
    """Return an MP4 file with a video track and no audio track."""
    target = folder() / f"mute-{seconds:g}s.mp4"
    with av.open(str(target), "w", format="mp4") as writer:
        picture = writer.add_stream("libx264", rate=25)
        picture.width, picture.height, picture.pix_fmt = 128, 96, "yuv420p"
        for number in range(round(seconds * 25)):
            image = np.full((96, 128, 3), number % 256, np.uint8)
            writer.mux(picture.encode(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")))
        writer.mux(picture.encode(None))
    return target


def numbers(path: Path, count: int, first: int = 0, sample_rate: int = 16_000, silent_seconds: int = 0) -> Path:
    """Write a recording of `count` spoken numbers, one each half second, followed by silence. Returns `path`.

    The numbers are in the code that the engine `scripted` recognises.
    """
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        for number in range(first, first + count):
            file.writeframes(encode_number(number, sample_rate).tobytes())
        file.writeframes(bytes(2 * sample_rate * silent_seconds))
    return path
