"""One audio track of a file, decoded with PyAV. Only the decoder (`__main__.py`) calls this."""

import contextlib
from collections.abc import Iterator

import av
from av.codec.codec import UnknownCodecError
from av.error import FFmpegError

from uploads.decoder.demux import Demuxer, Refused, opened

UNDECODABLE_PACKETS = 500  # at the start, before the file is given up
# FFmpeg's own decoders of AMR can't decode the frames of a pause (comfort noise); these can.
DECODERS = {"amrnb": "libopencore_amrnb", "amrwb": "libopencore_amrwb"}


class Recording:
    """An open file and one of its audio tracks, to be read once from the start.

    `skipped` counts the packets that could not be decoded, `skipped_seconds` is their length. Raises Refused for
    anything that isn't a recording.
    """

    def __init__(self, source: str | av.container.InputContainer, track: int = 0) -> None:
        """`source` is a path, or an opened file whose demuxer is set afterwards, because several tracks share it."""
        self.container = opened(source) if isinstance(source, str) else source
        if track >= len(self.container.streams.audio):
            raise Refused(f"There is no audio track {track + 1} in this file.")
        self.stream = self.container.streams.audio[track]
        if self.stream.codec_context is None:
            raise Refused("There is an audio track in this file, of a kind that can't be decoded.")
        self.demuxer = Demuxer(self.container, [self.stream])
        self.decoder = decoder_of(self.stream)
        self.time_base = float(self.stream.time_base or 0)  # a packet makes a new fraction each time it is asked
        self.skipped, self.skipped_seconds = 0, 0.0

    def __enter__(self) -> "Recording":
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()  # now: an index may take hundreds of megabytes, and collecting garbage its time

    @property
    def codec(self) -> str:
        return self.stream.codec_context.codec.canonical_name

    def packets(self) -> Iterator[av.Packet]:
        """Yield the packets up to the end of what can be read. Raises FFmpegError where it is the disk that can't."""
        return self.demuxer.packets(self.stream.index)

    def decode(self, packet: av.Packet | None) -> list[av.AudioFrame]:
        """Return the frames of one packet (None: what the decoder still holds); of a corrupt one, none."""
        try:
            found = self.decoder.decode(packet)
        except FFmpegError:
            self.skipped += 1
            self.skipped_seconds += self.length(packet)
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
        raise self.refusal()

    def refusal(self) -> Refused:
        """Return what to raise where no packet of the track could be decoded."""
        return Refused(f"There is an audio track in this file ({self.codec}), but none of it can be decoded.")

    def length(self, packet: av.Packet | None) -> float:
        """Return how long a packet is in seconds, as its container or its codec says; 0 where neither does."""
        if packet is not None and packet.duration:
            return packet.duration * self.time_base
        codec = self.stream.codec_context
        return codec.frame_size / codec.sample_rate if packet is not None and codec.sample_rate else 0.0


def decoder_of(stream: av.AudioStream) -> av.AudioCodecContext:
    """Return the decoder for a stream: FFmpeg's choice, or a better one."""
    codec = stream.codec_context
    with contextlib.suppress(KeyError, UnknownCodecError):  # it is not in every build of FFmpeg
        better = av.CodecContext.create(DECODERS[codec.name], "r")
        assert isinstance(better, av.AudioCodecContext)  # of an audio codec's name
        better.sample_rate, better.layout = codec.sample_rate, codec.layout
        return better
    return codec
