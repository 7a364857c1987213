"""The decoder's look at the audio tracks of a file: their descriptions, and whether each can be decoded and has sound.

Called by `decoder.py probe`. Every track gets an opened file of its own: a walk ends wherever it ends, and the next
one begins at the start.
"""

from collections.abc import Iterator
from typing import Any

import av
from av.error import FFmpegError
from av.stream import Disposition

from uploads import tracks
from uploads.demux import Refused, opened
from uploads.sound import Recording
from uploads.tracks import Track

QUIET = 64  # of 32768: a track that stays below is silent, as its waveform shows it
HEAD_SECONDS = 30.0  # of a track that are searched for sound from its start
PLACES = 24  # evenly over the rest, each searched for PLACE_SECONDS: a guest may not speak in the first minutes
PLACE_SECONDS = 1.0
PACKET_SECONDS = 0.001  # what a packet counts at least
TITLES = ("title", "name", "handler_name")  # Matroska's; MP4's of a track; MP4's of its handler
# What encoders write where a person wrote nothing: FFmpeg's and Apple's names of the handler, and “undetermined”.
BOILERPLATE = {"und", "SoundHandler", "Core Media Audio", "Sound Media Handler", "soun"}


def look(path: str) -> list[Track]:
    """Describe the audio tracks. Raises Refused where none can be decoded."""
    with opened(path) as container:
        found = [describe(stream) for stream in container.streams.audio[: tracks.MOST]]
    refusal: Refused | None = None
    for index, track in enumerate(found):
        try:
            with Recording(path, index) as recording:
                frame = recording.first_frame()
        except Refused as error:
            refusal = refusal or error
            continue
        track["is_decodable"] = True
        track["sample_rate"], track["channels"] = frame.sample_rate, frame.layout.nb_channels
    if refusal and not any(track["is_decodable"] for track in found):
        raise refusal
    if len(found) > 1:
        for index, track in enumerate(found):
            if track["is_decodable"]:
                with Recording(path, index) as recording:
                    track["has_sound"] = has_sound(recording)
    return found


def describe(stream: av.AudioStream) -> Track:
    """Return what the headers say of a track."""
    # Without a decoder FFmpeg knows the codec's name only from its tables, which PyAV does not read.
    context = stream.codec_context
    return Track(
        codec=context.codec.canonical_name if context else "unknown",
        language=text(stream, "language", tracks.LANGUAGE_CHARACTERS),
        title=next(filter(None, (text(stream, name, tracks.TEXT_CHARACTERS) for name in TITLES)), ""),
        sample_rate=(context.sample_rate or 0) if context else 0,
        channels=(context.channels or 0) if context else 0,
        is_default=bool(stream.disposition & Disposition.default),
        is_decodable=False,
        has_sound=None,
    )


def text(stream: av.AudioStream, name: str, characters: int) -> str:
    """Return a text from the file's headers in a form that can be stored and shown on one line."""
    given = stream.metadata.get(name, "")
    shown = "".join(character if character.isprintable() else " " for character in given[: 4 * characters])
    value = " ".join(shown.split())[:characters]
    return "" if value in BOILERPLATE else value


def has_sound(recording: Recording) -> bool:
    """Tell whether a track is louder than QUIET anywhere in its first seconds or at places spread over the rest."""
    if is_loud(recording, HEAD_SECONDS):
        return True
    stream, container = recording.stream, recording.container
    base, length = stream.time_base, stream.duration
    if length is None and container.duration is not None and base:
        length = round(container.duration / av.time_base / base)
    if not base or not length or length * base <= HEAD_SECONDS:
        return False
    begin = stream.start_time or 0
    for place in range(1, PLACES + 1):
        try:
            container.seek(begin + length * place // (PLACES + 1), stream=stream)
        except FFmpegError:
            return False  # a file without an index: what its head holds is all that can be known cheaply
        if is_loud(recording, PLACE_SECONDS):
            return True
    return False


def is_loud(recording: Recording, seconds: float) -> bool:
    return any(peak(frame) >= QUIET for frame in frames(recording, seconds))


def frames(recording: Recording, seconds: float) -> Iterator[av.AudioFrame]:
    """Yield decoded frames of so many seconds, from where the file stands."""
    left = seconds
    for packet in recording.packets():
        for frame in recording.decode(packet):
            yield frame
            left -= frame.samples / frame.sample_rate
        left -= PACKET_SECONDS  # a track of which nothing decodes must end too
        if left <= 0:
            return


def peak(frame: av.AudioFrame) -> float:
    """Return the loudest sample of a frame, of any channel, on the scale of 16 bits: 0 to 32768."""
    samples: Any = frame.to_ndarray()
    if samples.dtype.kind == "f":
        return float(abs(samples).max(initial=0.0)) * 32768
    middle = 128 if samples.dtype.kind == "u" else 0  # 8-bit samples are unsigned
    return float(abs(samples.astype(float) - middle).max(initial=0.0)) * 2.0 ** (16 - 8 * samples.dtype.itemsize)
