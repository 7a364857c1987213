"""Writes files with several audio tracks for the tests, with PyAV."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition

RATE = 16_000


@dataclass(frozen=True)
class Sound:
    """One track: 16-bit mono samples at `RATE`, their start in seconds (`offset`), and values for the headers."""

    samples: np.ndarray
    title: str = ""
    language: str = ""
    codec: str = "aac"
    offset: float = 0.0
    is_default: bool = False


def samples_of(path: Path) -> np.ndarray:
    """Return a recording as mono samples at `RATE`."""
    with av.open(str(path)) as reader:
        resampler = av.AudioResampler("s16", "mono", RATE)
        frames = [part for frame in [*reader.decode(audio=0), None] for part in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def tone(hz: float, seconds: float, volume: float = 0.3) -> np.ndarray:
    return (volume * 32767 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype("<i2")


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE), "<i2")


def write(target: Path, sounds: Sequence[Sound]) -> Path:
    """Write a file with these tracks in the container that the suffix of `target` names. Returns `target`."""
    with av.open(str(target), "w") as writer:
        streams = []
        for sound in sounds:
            stream = writer.add_stream(sound.codec, rate=RATE, layout="mono")
            stream.metadata.update({"title": sound.title} if sound.title else {})
            stream.metadata.update({"language": sound.language} if sound.language else {})
            if sound.is_default:
                stream.disposition = Disposition.default
            streams.append(stream)
        encoded = [packet for stream, sound in zip(streams, sounds, strict=True) for packet in packets(stream, sound)]
        for packet in sorted(encoded, key=lambda packet: packet.dts * packet.time_base):
            writer.mux(packet)
    return target


def packets(stream: av.AudioStream, sound: Sound) -> list[av.Packet]:
    stream.codec_context.open()
    size = stream.codec_context.frame_size or 1024
    found: list[av.Packet] = []
    begin = round(sound.offset * RATE)
    resampler = av.AudioResampler(stream.format, "mono", RATE)
    for start in range(0, len(sound.samples), size):
        frame = av.AudioFrame.from_ndarray(sound.samples[None, start : start + size].astype("<i2"), "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, begin + start, Fraction(1, RATE)
        for part in resampler.resample(frame):
            found += stream.encode(part)
    return [packet for packet in [*found, *stream.encode(None)] if packet.size]
