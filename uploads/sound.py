"""The sound in a file, read with PyAV: what may be opened, and how it becomes 16-bit samples.

Only the decoder, a process of its own that has limited itself (`decoder.py`), calls this. FFmpeg gets the file as
an open descriptor, under the one protocol `fd` and without a name, so that nothing in it can make FFmpeg open
another file or an address, and tries only the demuxers listed here.
"""

import contextlib
import errno
import itertools
import os
import stat
from collections.abc import Iterator

import av
from av.error import FFmpegError

from uploads import kinds

# FFmpeg's names. Nothing here opens a second file: no playlists, no concat, no numbered pictures, no devices.
DEMUXERS = (
    "wav,w64,aiff,caf,au,flac,ogg,mp3,aac,loas,ac3,eac3,amr,amrnb,amrwb,mov,matroska,avi,asf,flv,mpeg,mpegts,"
    "wv,ape,tta,dts,dsf,gsm,voc,nistsphere,sox,mxf,rm,dss,qcp,wtv,iff"
)
UNDECODABLE_PACKETS = 500  # at the start, before the file is given up
GAP_SECONDS = (0.5, 600.0)  # shorter is a container's inaccuracy, longer a mistake in it
LAYOUTS = {1: "mono", 2: "stereo"}


class Refused(Exception):
    """The file is not a recording that we take. The text is a sentence for a person."""


class Timeline:
    """Finds the holes in a stream's times, where a player is silent.

    Times that go back, or leap by more than GAP_SECONDS allows, are not believed.
    """

    def __init__(self, start: float | None) -> None:
        self.clock = start

    def gap(self, start: float | None, seconds: float) -> float:
        """Return the seconds of silence before a piece of `seconds` that starts at `start`, where that is known."""
        if self.clock is None:
            self.clock = start or 0.0
        if start is None or start < self.clock - GAP_SECONDS[0]:
            start = self.clock
        leap, self.clock = start - self.clock, start + seconds
        return leap if GAP_SECONDS[0] < leap <= GAP_SECONDS[1] else 0.0


def opened(path: str) -> av.container.InputContainer:
    """Return an open file that has audio. Raises Refused for any other."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a named pipe would wait for its writer for ever
    try:
        container = _opened(descriptor)
    finally:
        os.close(descriptor)  # FFmpeg has a copy of it
    if not container.streams.audio:
        kind = "video without a sound track" if container.streams.video else "file without sound"
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
        raise Refused(kinds.UNREADABLE) from error


def demuxed(container: av.container.InputContainer, *streams: av.AudioStream) -> Iterator[av.Packet]:
    """Yield the packets of these streams up to the end of what can be read. Raises FFmpegError where the disk fails."""
    try:
        for packet in container.demux(*streams):
            if packet.size:
                yield packet
    except FFmpegError as error:
        # Demuxers find their own way past damage. One that gives up has lost it for good, and what came before
        # is worth having; but a recording must not end where only the disk failed.
        if error.errno == errno.EIO:
            raise


class Recording:
    """An open file and one of its audio tracks, to be read once from the start.

    `skipped` counts the packets that could not be decoded. Raises Refused for anything that isn't a recording.
    """

    def __init__(self, source: str | av.container.InputContainer, track: int = 0) -> None:
        """`source` is a path, or an opened file whose packets a subclass hands out."""
        self.container = opened(source) if isinstance(source, str) else source
        if track >= len(self.container.streams.audio):
            raise Refused(f"There is no audio track {track + 1} in this file.")
        self.stream = self.container.streams.audio[track]
        if self.stream.codec_context is None:
            raise Refused("There is a sound track in this file, of a kind that can't be decoded.")
        self.skipped = 0
        self.start = None if self.container.start_time is None else self.container.start_time / av.time_base

    def __enter__(self) -> "Recording":
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()  # now: an index may take hundreds of megabytes, and collecting garbage its time

    @property
    def codec(self) -> str:
        return self.stream.codec_context.codec.canonical_name

    def packets(self) -> Iterator[av.Packet]:
        """Yield the packets up to the end of what can be read. Raises FFmpegError where it is the disk that can't."""
        yield from demuxed(self.container, self.stream)

    def decode(self, packet: av.Packet | None) -> list[av.AudioFrame]:
        """Return the frames of one packet (None: what the decoder still holds); of a corrupt one, none."""
        try:
            found = self.stream.codec_context.decode(packet)
        except FFmpegError:
            self.skipped += 1
            return []
        return [frame for frame in found if frame.samples and frame.sample_rate]

    def first_frame(self) -> av.AudioFrame:
        """Return the first frame, from a recording that is not read any further. Raises Refused if there is none."""
        for number, packet in enumerate(self.packets()):
            if number == UNDECODABLE_PACKETS:
                break
            if frames := self.decode(packet):
                return frames[0]
        if frames := self.decode(None):
            return frames[0]
        raise Refused(f"There is a sound track in this file ({self.codec}), but nothing in it can be decoded.")

    def seconds(self) -> float | None:
        """Return the length by a walk over all packets, without decoding: headers lie about it.

        Right to a tenth of a second (priming samples are counted). None where too few packets say how long they are.
        """
        timeline, total, known, unknown = Timeline(self.start), 0.0, 0, 0
        for packet in self.packets():
            base = float(packet.time_base or 0)
            length = (packet.duration or 0) * base
            known, unknown = known + bool(length), unknown + (not length)
            total += length + timeline.gap(None if packet.pts is None else packet.pts * base, length)
        return None if unknown * 100 > known else total

    def pcm(self, rate: int, channels: int) -> Iterator[bytes]:
        """Yield all of it as interleaved 16-bit samples, with silence where its times leave a hole.

        Yields b"" for what can't be decoded, so that the caller can show that it is alive.

        FFmpeg drops the priming samples of AAC, MP3 and Opus where the file says how many there are (MP4, MP3 with
        a LAME header, Ogg, Matroska). A bare AAC stream doesn't say, and keeps them: up to 0.13 s.
        """
        timeline, resampler, shape = Timeline(self.start), None, None
        for packet in itertools.chain(self.packets(), [None]):
            for frame in self.decode(packet):
                silent = round(timeline.gap(frame.time, frame.samples / frame.sample_rate) * rate)
                for done in range(0, silent, rate):
                    yield bytes(min(rate, silent - done) * channels * 2)
                if frame.layout.nb_channels > 2 and frame.layout.name.endswith(" channels"):
                    frame = mixed_down(frame)
                frame.pts = None  # the resampler has nothing to say about times
                if shape != (frame.format.name, frame.layout.name, frame.sample_rate):
                    # The first frame, or recordings that were joined.
                    yield resampled(resampler, None, channels)
                    resampler = av.AudioResampler("s16", LAYOUTS[channels], rate)
                    shape = (frame.format.name, frame.layout.name, frame.sample_rate)
                yield resampled(resampler, frame, channels)
            yield b""
        yield resampled(resampler, None, channels)


def sound_decoders() -> Iterator[str]:
    for name in av.codec.codecs_available:
        with contextlib.suppress(ValueError):  # some names have an encoder alone
            if (codec := av.Codec(name, "r")).type == "audio":
                yield codec.name


def mixed_down(frame: av.AudioFrame) -> av.AudioFrame:
    """Return the mean of the channels of a frame that doesn't say where they belong, as of a four-track recorder."""
    import numpy as np  # takes a tenth of a second, and is rarely needed

    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype.kind in "iu":
        samples = samples / 2.0 ** (8 * samples.dtype.itemsize - 1) - (samples.dtype.kind == "u")
    mono = av.AudioFrame.from_ndarray(samples.mean(axis=0, keepdims=True).astype(np.float32), "fltp", "mono")
    mono.sample_rate = frame.sample_rate
    return mono


def resampled(resampler: av.AudioResampler | None, frame: av.AudioFrame | None, channels: int) -> bytes:
    """Return what the resampler gives for `frame` (None: what it still holds)."""
    pieces = resampler.resample(frame) if resampler else []
    # A plane is longer than its sound.
    return b"".join(memoryview(piece.planes[0])[: piece.samples * channels * 2] for piece in pieces)
