"""Opens untrusted media files with PyAV, reads the packets of their tracks, and finds the time of the first sample.

Runs only in the decoder's process, after it has limited its resources (`__main__.py`). FFmpeg gets the file as an open
descriptor, and `fd` is the only protocol allowed. So no content of the file can make FFmpeg open another file or a
URL. FFmpeg tries only the demuxers listed here.
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

# FFmpeg's names of the allowed demuxers. None of them opens a second file, as playlists, concat, image sequences and
# devices do.
DEMUXERS = (
    "wav,w64,aiff,caf,au,flac,ogg,mp3,aac,loas,ac3,eac3,amr,amrnb,amrwb,mov,matroska,avi,asf,flv,mpeg,mpegts,"
    "wv,ape,tta,dts,dsf,gsm,voc,nistsphere,sox,mxf,rm,dss,qcp,wtv,iff"
)
AHEAD_PACKETS = 50  # read at most so many audio packets to find the first timestamps of all tracks
ABSOLUTE = {"matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2"}  # containers whose timestamps count from 0
ROUNDING_SECONDS = 1e-6
# Containers whose timestamps ignore priming: the first packet has time 0, so the audio is late by the priming.
UNCOMPENSATED = {"avi"}
# The number of priming samples that encoders write at the start, for codecs whose files often don't declare it. If
# the frames of a codec overlap, at least one is priming. MP3 has the delays of the decoder (529) and of LAME (576).
PRIMING = {"aac": 1024, "aac_latm": 1024, "mp3": 1105, "mp2": 481, "ac3": 256, "eac3": 256, "dts": 512, "opus": 312}


class Refused(Exception):
    """The file is not an acceptable recording. The text is a sentence for people."""


def opened(path: str) -> av.container.InputContainer:
    """Open a file that has an audio track. Raises Refused for other files."""
    # O_NONBLOCK, because opening a named pipe would block until it has a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        container = _opened(descriptor)
    finally:
        os.close(descriptor)  # FFmpeg has duplicated it
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
        "codec_whitelist": ",".join(sound_decoders()),  # FFmpeg must not run decoders of video and pictures
    }
    try:
        # Titles and artists come in any encoding. Undecodable bytes in them must not make PyAV refuse the file.
        return av.open("fd:", options=options, metadata_errors="replace")
    except (FFmpegError, ValueError) as error:
        raise Refused(file_types.UNREADABLE) from error


def demuxed(container: av.container.InputContainer) -> Iterator[av.Packet]:
    """Yield the packets of all tracks up to the end of the readable part. Raises FFmpegError if the disk fails."""
    try:
        for packet in container.demux():
            if packet.size:
                yield packet
    except FFmpegError as error:
        # Demuxers skip damaged parts themselves. After any other error the rest of the file is unreadable, and the
        # recording ends here. An error of the disk (EIO) must not look like the end, because a retry may read the rest.
        if error.errno == errno.EIO:
            raise


class Demuxer:
    """Reads an open file once from the start and distributes the packets of some audio tracks.

    Packets that a track does not need yet wait in its queue. Opening the file once for each track would need no queues,
    but each opening builds an index of its own, and the indexes would take too much memory.
    """

    def __init__(self, container: av.container.InputContainer, streams: Iterable[av.AudioStream]) -> None:
        self.container = container
        self._queues: dict[int, deque[av.Packet]] = {stream.index: deque() for stream in streams}
        self._unread = demuxed(container)
        self.shifts: dict[int, float] = {}  # seconds to add to the timestamps of a stream; `zero` fills it

    def packets(self, index: int) -> Iterator[av.Packet]:
        """Yield the packets of one stream. Raises FFmpegError if the disk fails."""
        queue = self._queues[index]
        while True:
            while queue:
                yield queue.popleft()
            if self._next() is None:
                self._unread = demuxed(self.container)  # a fresh iterator, for a caller that seeks back in the file
                return

    def _next(self) -> av.Packet | None:
        packet = next(self._unread, None)
        if packet is not None and packet.stream_index in self._queues:
            self._queues[packet.stream_index].append(packet)
        return packet

    @cached_property
    def zero(self) -> float:
        """The timestamp of the recording's first sample, found from the first packets of all tracks.

        Read it before `packets`. FFmpeg's `start_time` can't be used: it leaves out tracks whose decoder is not
        allowed, such as H.264 in Matroska.
        """
        streams = self.container.streams
        waiting = {stream.index for stream in (*streams.audio, *streams.video)}
        starts: dict[int, tuple[float, float]] = {}
        left: dict[int, float] = {}  # stream → remaining seconds of priming
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
                    waiting.remove(index)  # this packet is the first one that contains more than priming
            if max(map(len, self._queues.values())) >= AHEAD_PACKETS:
                break
        return zero(starts.values(), is_absolute=self.container.format.name in ABSOLUTE) if starts else 0.0


def start_of(packet: av.Packet, time_base: float) -> float | None:
    """Return the timestamp of a packet in seconds; None if it has none."""
    time = packet.dts if packet.pts is None else packet.pts
    return None if time is None else time * time_base


def trimmed(packet: av.Packet) -> tuple[int, int]:
    """Return how many samples to drop at the start and at the end of a packet, as its side data declares.

    If the first number exceeds the packet, the rest is dropped from the next packets.
    """
    if not packet.has_sidedata("skip_samples"):
        return 0, 0
    begin, end = struct.unpack_from("<II", bytes(packet.get_sidedata("skip_samples")))
    return begin, end


def priming(packet: av.Packet) -> float:
    """Return the seconds of priming at the start of a track, which are not audio. `packet` is its first packet."""
    codec = packet.stream.codec_context
    if packet.stream.type != "audio" or codec is None or not codec.sample_rate:
        return 0.0
    name, rate = codec.codec.canonical_name, codec.sample_rate
    if name in ("wmav1", "wmav2"):
        return (2048 if rate > 22_050 else 1024 if rate > 16_000 else 512) / rate  # WMA's priming is one frame
    return (trimmed(packet)[0] or PRIMING.get(name, 0)) / rate


def frame_seconds(packet: av.Packet) -> float:
    """Return the seconds of audio that a packet can hold at most; infinity if unknown.

    Some muxers write the time until the next packet as the duration, which may be longer.
    """
    codec = packet.stream.codec_context
    has_frames = packet.stream.type == "audio" and codec is not None and codec.frame_size and codec.sample_rate
    return codec.frame_size / codec.sample_rate if has_frames else math.inf


def sound_decoders() -> Iterator[str]:
    """Yield the names of all audio decoders in this build of FFmpeg."""
    for name in av.codec.codecs_available:
        with contextlib.suppress(ValueError):  # for some names there is only an encoder
            if (codec := av.Codec(name, "r")).type == "audio":
                yield codec.name
