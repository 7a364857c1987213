"""Decodes one audio track of a file with PyAV. Runs only in the decoder's process (`__main__.py`)."""

import contextlib
from collections.abc import Iterator

import av
from av.codec.codec import UnknownCodecError
from av.error import FFmpegError

from uploads.decoder.demux import Demuxer, Refused, opened

UNDECODABLE_PACKETS = 500  # if so many packets at the start can't be decoded, the track is refused
# FFmpeg's own AMR decoders can't decode the comfort noise of pauses; these libraries can.
DECODERS = {"amrnb": "libopencore_amrnb", "amrwb": "libopencore_amrwb"}


class Recording:
    """An open file and one of its audio tracks, which can be read once from the start.

    `skipped` counts the packets that could not be decoded, and `skipped_seconds` is their total length. The constructor
    raises Refused for a file without such a track.
    """

    def __init__(self, source: str | av.container.InputContainer, track: int = 0) -> None:
        """Open the track. `source` is a path or an open file.

        To read packets of several tracks of an open file, set their `demuxer` to a shared one first.
        """
        self.container = opened(source) if isinstance(source, str) else source
        if track >= len(self.container.streams.audio):
            raise Refused(f"There is no audio track {track + 1} in this file.")
        self.stream = self.container.streams.audio[track]
        if self.stream.codec_context is None:
            raise Refused("There is an audio track in this file, of a kind that can't be decoded.")
        self.demuxer = Demuxer(self.container, [self.stream])
        self.decoder = decoder_of(self.stream)
        self.time_base = float(self.stream.time_base or 0)  # cached: PyAV makes a new Fraction at each access
        self.skipped, self.skipped_seconds = 0, 0.0

    def __enter__(self) -> "Recording":
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()  # not left to garbage collection: an index may take hundreds of megabytes

    @property
    def codec(self) -> str:
        return self.stream.codec_context.codec.canonical_name

    def packets(self) -> Iterator[av.Packet]:
        """Yield the packets up to the end of the readable part. Raises FFmpegError if the disk fails."""
        return self.demuxer.packets(self.stream.index)

    def decode(self, packet: av.Packet | None) -> list[av.AudioFrame]:
        """Return the frames of a packet; an empty list for a corrupt one. None flushes the codec at the end."""
        try:
            found = self.decoder.decode(packet)
        except FFmpegError:
            self.skipped += 1
            self.skipped_seconds += self.length(packet)
            return []
        return [frame for frame in found if frame.samples and frame.sample_rate]

    def first_frame(self) -> av.AudioFrame:
        """Return the first frame; the recording can't be read from the start afterwards. Raises Refused without one."""
        for number, packet in enumerate(self.packets()):
            if number == UNDECODABLE_PACKETS:
                break
            if frames := self.decode(packet):
                return frames[0]
        if frames := self.decode(None):
            return frames[0]
        raise self.refusal()

    def refusal(self) -> Refused:
        """Return the exception for a track of which no packet could be decoded."""
        return Refused(f"There is an audio track in this file ({self.codec}), but none of it can be decoded.")

    def length(self, packet: av.Packet | None) -> float:
        """Return the length of a packet in seconds according to its container or codec; 0 if neither knows it."""
        if packet is not None and packet.duration:
            return packet.duration * self.time_base
        codec = self.stream.codec_context
        return codec.frame_size / codec.sample_rate if packet is not None and codec.sample_rate else 0.0


def decoder_of(stream: av.AudioStream) -> av.AudioCodecContext:
    """Return the codec context that decodes a stream: FFmpeg's default, or the better one of `DECODERS`."""
    codec = stream.codec_context
    with contextlib.suppress(KeyError, UnknownCodecError):  # there is no better one, or this FFmpeg lacks it
        better = av.CodecContext.create(DECODERS[codec.name], "r")
        assert isinstance(better, av.AudioCodecContext)  # `DECODERS` names only audio codecs
        better.sample_rate, better.layout = codec.sample_rate, codec.layout
        return better
    return codec
