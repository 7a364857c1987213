"""Files of strangers, opened with PyAV: what may be opened, the packets of their tracks, and where their time begins.

Only the decoder, a process of its own that has limited itself (`__main__.py`), calls this. FFmpeg gets the file as
an open descriptor, under the one protocol `fd` and without a name, so that nothing in it can make FFmpeg open
another file or an address, and tries only the demuxers listed here.
"""

import contextlib
import errno
import math
import os
import stat
import struct
from collections import deque
from collections.abc import Iterable, Iterator
from functools import cached_property

import av
from av.error import FFmpegError
from av.stream import Disposition

from uploads import file_types
from uploads.decoder.timeline import zero

# FFmpeg's names. Nothing here opens a second file: no playlists, no concat, no numbered pictures, no devices.
DEMUXERS = (
    "wav,w64,aiff,caf,au,flac,ogg,mp3,aac,loas,ac3,eac3,amr,amrnb,amrwb,mov,matroska,avi,asf,flv,mpeg,mpegts,"
    "wv,ape,tta,dts,dsf,gsm,voc,nistsphere,sox,mxf,rm,dss,qcp,wtv,iff"
)
AHEAD_PACKETS = 50  # of the audio, read to find the first time of the other tracks
ABSOLUTE = {"matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2"}  # containers whose times begin at 0
ROUNDING_SECONDS = 1e-6
# Containers whose times don't allow for priming: the first packet is at 0, and its audio is late.
UNCOMPENSATED = {"avi"}
# Samples at the start that come from the encoder, for codecs whose files often don't say how many there are. Codecs
# whose frames overlap have at least one frame of them; MP3 has the delays of the decoder (529) and of LAME (576).
PRIMING = {"aac": 1024, "aac_latm": 1024, "mp3": 1105, "mp2": 481, "ac3": 256, "eac3": 256, "dts": 512, "opus": 312}


class Refused(Exception):
    """The file is not a recording that we take. The text is a sentence for a person."""


def opened(path: str) -> av.container.InputContainer:
    """Return an open file that has audio. Raises Refused for any other."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a named pipe would block until it has a writer
    try:
        container = _opened(descriptor)
    finally:
        os.close(descriptor)  # FFmpeg has a copy of it
    if not container.streams.audio:
        kind = "video without an audio track" if container.streams.video else "file without audio"
        raise Refused(f"This is a {kind}.")
    return container


def _opened(descriptor: int) -> av.container.InputContainer:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or not found.st_size:
        raise Refused("The file is empty.")
    options = {
        "fd": str(descriptor),
        "protocol_whitelist": "fd",
        "format_whitelist": DEMUXERS,
        "codec_whitelist": ",".join(sound_decoders()),  # a decoder of pictures is never opened
    }
    try:
        # Titles and artists come in any encoding; undecodable bytes must not refuse the file.
        return av.open("fd:", options=options, metadata_errors="replace")
    except (FFmpegError, ValueError) as error:
        raise Refused(file_types.UNREADABLE) from error


def demuxed(container: av.container.InputContainer) -> Iterator[av.Packet]:
    """Yield the packets of all tracks up to the end of what can be read. Raises FFmpegError where the disk fails."""
    try:
        for packet in container.demux():
            if packet.size:
                yield packet
    except FFmpegError as error:
        # Demuxers find their own way past damage. One that gives up has lost it for good, and what came before
        # is worth having; but a recording must not end where only the disk failed.
        if error.errno == errno.EIO:
            raise


class Demuxer:
    """Hands out the packets of some audio tracks of an open file, which is read once from the start.

    The packets that one track does not need yet wait in a queue: an index for each track, as further openings of the
    file would make, takes too much memory.
    """

    def __init__(self, container: av.container.InputContainer, streams: Iterable[av.AudioStream]) -> None:
        self.container = container
        self._queues: dict[int, deque[av.Packet]] = {stream.index: deque() for stream in streams}
        self._unread = demuxed(container)
        self.shifts: dict[int, float] = {}  # seconds to add to the times of a stream, known with `zero`

    def packets(self, index: int) -> Iterator[av.Packet]:
        """Yield the packets of one stream. Raises FFmpegError where it is the disk that can't be read."""
        queue = self._queues[index]
        while True:
            while queue:
                yield queue.popleft()
            if self._next() is None:
                self._unread = demuxed(self.container)  # for a caller that goes back in the file
                return

    def _next(self) -> av.Packet | None:
        packet = next(self._unread, None)
        if packet is not None and packet.stream_index in self._queues:
            self._queues[packet.stream_index].append(packet)
        return packet

    @cached_property
    def zero(self) -> float:
        """The file's time of the first sample, from the first packets of all tracks. To be asked for before packets.

        FFmpeg's own `start_time` leaves out tracks whose decoder may not be opened, as H.264 in Matroska.
        """
        streams = self.container.streams
        waiting = {stream.index for stream in (*streams.audio, *streams.video)}
        starts: dict[int, tuple[float, float]] = {}
        left: dict[int, float] = {}  # seconds of priming that are still to come
        while waiting and (packet := self._next()) is not None:
            index, time_base = packet.stream_index, float(packet.stream.time_base or 0)
            start, length = start_of(packet, time_base), min((packet.duration or 0) * time_base, frame_seconds(packet))
            if index not in waiting:
                pass
            elif start is None or packet.stream.disposition & Disposition.attached_pic:
                waiting.remove(index)
            else:
                if index not in starts:
                    left[index] = priming(packet)
                    if self.container.format.name in UNCOMPENSATED:
                        self.shifts[index] = -left[index]
                start += self.shifts.get(index, 0.0)
                starts[index] = starts.get(index, (start, 0.0))[0], start + left[index]
                left[index] -= length
                if left[index] < -ROUNDING_SECONDS or not length:
                    waiting.remove(index)  # this packet is the first with audio of its own
            if max(map(len, self._queues.values())) >= AHEAD_PACKETS:
                break
        return zero(starts.values(), is_absolute=self.container.format.name in ABSOLUTE) if starts else 0.0


def start_of(packet: av.Packet, time_base: float) -> float | None:
    """Return the time that a packet has in its file, in seconds."""
    time = packet.dts if packet.pts is None else packet.pts
    return None if time is None else time * time_base


def trimmed(packet: av.Packet) -> tuple[int, int]:
    """Return how many samples the file says to drop at the beginning and at the end: of this packet and around it."""
    if not packet.has_sidedata("skip_samples"):
        return 0, 0
    begin, end = struct.unpack_from("<II", bytes(packet.get_sidedata("skip_samples")))
    return begin, end


def priming(packet: av.Packet) -> float:
    """Return how many seconds of samples that are no audio yet a track begins with, from its first packet."""
    codec = packet.stream.codec_context
    if packet.stream.type != "audio" or codec is None or not codec.sample_rate:
        return 0.0
    name, rate = codec.codec.canonical_name, codec.sample_rate
    if name in ("wmav1", "wmav2"):
        return (2048 if rate > 22_050 else 1024 if rate > 16_000 else 512) / rate  # a frame
    return (trimmed(packet)[0] or PRIMING.get(name, 0)) / rate


def frame_seconds(packet: av.Packet) -> float:
    """Return the most that a packet of audio can hold: some muxers give one the time up to the next instead."""
    codec = packet.stream.codec_context
    has_frames = packet.stream.type == "audio" and codec is not None and codec.frame_size and codec.sample_rate
    return codec.frame_size / codec.sample_rate if has_frames else math.inf


def sound_decoders() -> Iterator[str]:
    for name in av.codec.codecs_available:
        with contextlib.suppress(ValueError):  # some names have an encoder alone
            if (codec := av.Codec(name, "r")).type == "audio":
                yield codec.name
