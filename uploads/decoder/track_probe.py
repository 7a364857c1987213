"""Describes the audio tracks of a file, and finds out whether each can be decoded and is not silent.

`__main__.py probe` calls it. The file is opened once for all tracks: opening it once for each would build a hostile
file's index of millions of entries dozens of times.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av
from av.error import FFmpegError
from av.stream import Disposition

from uploads import tracks
from uploads.decoder.audio_track import UNDECODABLE_PACKETS, Recording
from uploads.decoder.demux import Refused, demuxed, opened
from uploads.tracks import Track

QUIET = 64  # of 32768: a track with all samples below this counts as silent, and its waveform looks silent
HEAD_SECONDS = 30.0  # the start of each track that is searched for sound
# If the start is silent, PLACE_SECONDS are searched at each of this many places, spread evenly over the track: a guest
# may not speak in the first minutes.
PLACES = 24
PLACE_SECONDS = 1.0
PACKET_SECONDS = 0.001  # also counted for each packet, so that a search ends even if no packet can be decoded
TITLES = ("title", "name", "handler_name")  # the tags of Matroska, of an MP4 track, and of an MP4 handler
# Texts that encoders write without being asked: FFmpeg's and Apple's handler names, and “und” for an unknown language.
BOILERPLATE = {"und", "SoundHandler", "Core Media Audio", "Sound Media Handler", "soun"}


@dataclass
class Head:
    """The beginning of one track: its first frame, and whether it is louder than silence.

    With `wanted_seconds` 0 it is not searched for sound.
    """

    recording: Recording
    track: Track
    wanted_seconds: float
    frame: av.AudioFrame | None = None
    seconds: float = 0.0
    packet_count: int = 0
    has_sound: bool = False

    @property
    def is_done(self) -> bool:
        if self.frame is None:
            return self.packet_count >= UNDECODABLE_PACKETS
        return self.has_sound or self.seconds >= self.wanted_seconds

    def decode(self, packet: av.Packet | None) -> None:
        """Decode a packet of the track. None flushes the codec at the end."""
        self.packet_count += 1
        for frame in self.recording.decode(packet):
            self.frame = self.frame or frame
            self.seconds += frame.samples / frame.sample_rate
            self.has_sound = self.has_sound or (self.wanted_seconds > 0 and peak(frame) >= QUIET)


def describe_tracks(path: str) -> list[Track]:
    """Return descriptions of the audio tracks. Raises Refused if no track can be decoded."""
    with opened(path) as container:
        found = [describe(stream) for stream in container.streams.audio[: tracks.MAX_TRACKS]]
        heads, refusals = [], []
        for index, track in enumerate(found):
            try:
                heads.append(Head(Recording(container, index), track, HEAD_SECONDS if len(found) > 1 else 0.0))
            except Refused as refusal:
                refusals.append(refusal)
        read(container, heads)
        for head in heads:
            if head.frame is not None:
                head.track["is_decodable"] = True
                head.track["sample_rate"] = head.frame.sample_rate
                head.track["channels"] = head.frame.layout.nb_channels
            else:
                refusals.append(head.recording.refusal())
        decodable = [head for head in heads if head.frame is not None]
        if not decodable:
            raise refusals[0]
        if len(found) > 1:
            for head in decodable:
                head.track["has_sound"] = head.has_sound or has_sound_later(head.recording)
    return found


def read(container: av.container.InputContainer, heads: list[Head]) -> None:
    """Read the file once from its start, until the head of every track is done."""
    by_stream = {head.recording.stream.index: head for head in heads}
    waiting = len(by_stream)
    for packet in demuxed(container) if heads else ():
        head = by_stream.get(packet.stream_index)
        if head is None or head.is_done:
            continue
        head.decode(packet)
        waiting -= head.is_done
        if not waiting:
            return
    for head in heads:
        if not head.is_done:
            head.decode(None)


def describe(stream: av.AudioStream) -> Track:
    """Return the description of a track according to the headers. The caller adds the results of decoding."""
    # Without a codec context PyAV has no name of the codec.
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
    """Return a text from the file's headers on one line, printable and of at most `characters` characters."""
    given = stream.metadata.get(name, "")
    shown = "".join(character if character.isprintable() else " " for character in given[: 4 * characters])
    value = " ".join(shown.split())[:characters]
    return "" if value in BOILERPLATE else value


def has_sound_later(recording: Recording) -> bool:
    """Return whether a track with a silent head is as loud as QUIET at any of the `PLACES` after it."""
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
            return False  # the file has no index, so finding a later place would mean reading the whole file
        recording.decoder.flush_buffers()
        if is_loud(recording, PLACE_SECONDS):
            return True
    return False


def is_loud(recording: Recording, seconds: float) -> bool:
    return any(peak(frame) >= QUIET for frame in frames(recording, seconds))


def frames(recording: Recording, seconds: float) -> Iterator[av.AudioFrame]:
    """Yield decoded frames of `seconds` seconds from the current position in the file."""
    left = seconds
    for packet in demuxed(recording.container):
        if packet.stream_index != recording.stream.index:
            continue
        for frame in recording.decode(packet):
            yield frame
            left -= frame.samples / frame.sample_rate
        left -= PACKET_SECONDS  # the loop must end even if no packet can be decoded
        if left <= 0:
            return


def peak(frame: av.AudioFrame) -> float:
    """Return the loudest sample of a frame in any channel, scaled to 16 bits: 0 to 32768."""
    samples: Any = frame.to_ndarray()
    if samples.dtype.kind == "f":
        return float(abs(samples).max(initial=0.0)) * 32768
    middle = 128 if samples.dtype.kind == "u" else 0  # 8-bit samples are unsigned
    return float(abs(samples.astype(float) - middle).max(initial=0.0)) * 2.0 ** (16 - 8 * samples.dtype.itemsize)
