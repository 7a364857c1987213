"""Places a recording's packets and frames on its timeline: finds its length, and fills gaps with silence.

Runs only in the decoder's process. Duration, waveform, spool and listening copy all use this module, so they agree.
"""

import itertools
from collections.abc import Iterator
from typing import TypeVar

import av

from uploads.decoder.audio_track import Recording
from uploads.decoder.demux import start_of, trimmed
from uploads.decoder.timeline import Piece, Placed, Timeline

SPLICED = {"mpegts", "mpeg"}  # containers whose timestamps may restart within a file


Content = TypeVar("Content")


def _placed(recording: Recording, pieces: Iterator[Piece[Content]]) -> Iterator[Placed[Content]]:
    zero = recording.demuxer.zero - recording.demuxer.shifts.get(recording.stream.index, 0.0)
    return Timeline(zero, is_spliced=recording.container.format.name in SPLICED).place(pieces)


def seconds(recording: Recording) -> float | None:
    """Return the length in seconds from all packets, without decoding them. Headers are not used: they may lie.

    The result is exact to some hundredths of a second. Returns None if too few packets have a known length.
    """
    total, known, unknown = 0.0, 0, 0
    for placed in _placed(recording, _packets(recording)):
        total += placed.gap + placed.seconds
        known, unknown = known + placed.content, unknown + (not placed.content)
    return None if unknown * 100 > known else total


def _packets(recording: Recording) -> Iterator[Piece[bool]]:
    """Yield a piece for each packet, without the samples that FFmpeg drops when it decodes the packet.

    The content of a piece is whether the length of its packet is known.
    """
    priming = 0.0  # seconds that are still to be dropped
    # MP3 declares padding at the end. Ogg and Matroska shorten the last packet instead.
    has_padding = recording.container.format.name == "mp3"
    rate = recording.stream.codec_context.sample_rate or 1
    for number, packet in enumerate(recording.packets()):
        if number == 0 and not recording.length(packet):
            recording.decode(packet)  # sets the frame length of the codec context, if all frames have the same
        start, length = start_of(packet, recording.time_base), recording.length(packet)
        begin, end = trimmed(packet)
        priming += begin / rate
        before = length if packet.is_discard else min(priming, length)
        priming = max(0.0, priming - before)
        after = min(end / rate, length - before) if has_padding else 0.0
        yield Piece(None if start is None else start + before, length - before - after, bool(length))


def frames(recording: Recording) -> Iterator[av.AudioFrame | None]:
    """Yield gapless frames from the first sample on; silent frames fill gaps between the timestamps.

    Yields None for a packet that can't be decoded, so that the caller can report progress.
    """
    silent = 0.0  # seconds of silence to insert next; negative: seconds of audio to drop
    last = None
    for placed in _placed(recording, _frames(recording)):
        silent += placed.gap - placed.cut
        frame = placed.content
        if frame is None:
            silent += placed.seconds
            yield None
            continue
        # `silent` keeps the rest of less than half a sample, so that rounding errors do not add up over thousands of
        # gaps.
        count = max(round(silent * frame.sample_rate), -frame.samples)
        silent -= count / frame.sample_rate
        yield from silence(frame, count)
        if frame.samples + count > 0:
            yield without_beginning(frame, -count)
        last = frame
    if last is not None:
        yield from silence(last, round(silent * last.sample_rate))


def _frames(recording: Recording) -> Iterator[Piece[av.AudioFrame | None]]:
    """Yield the frames. A packet that can't be decoded becomes silence of its length (content None)."""
    lost_until = None
    for packet in itertools.chain(recording.packets(), [None]):
        skipped = recording.skipped
        for frame in recording.decode(packet):
            yield Piece(frame.time, frame.samples / frame.sample_rate, frame)
        if packet is None or recording.skipped == skipped:
            continue
        start, length = start_of(packet, recording.time_base), recording.length(packet)
        if start is None:
            yield Piece(None, length, None)
        else:
            # Insert nothing here: earlier frames may still be in the codec, and silence inserted now would come before
            # them. `Timeline` fills the gap from the later timestamps. The empty piece only lets the caller report
            # progress.
            yield Piece(None, 0.0, None)
            lost_until = start + length
    yield Piece(lost_until, 0.0, None)


def silence(like: av.AudioFrame, count: int) -> Iterator[av.AudioFrame]:
    """Yield `count` silent samples in frames of at most a second, in the format of `like`."""
    for done in range(0, count, like.sample_rate):
        samples = min(like.sample_rate, count - done)
        frame = av.AudioFrame(like.format.name, like.layout, samples, align=1)
        frame.sample_rate = like.sample_rate
        zero = b"\x80" if like.format.name.startswith("u8") else b"\x00"
        for plane in frame.planes:
            plane.update(zero * plane.buffer_size)
        yield frame


def without_beginning(frame: av.AudioFrame, count: int) -> av.AudioFrame:
    """Return the frame without its first `count` samples."""
    if count <= 0:
        return frame
    rest = av.AudioFrame(frame.format.name, frame.layout, frame.samples - count, align=1)
    rest.sample_rate = frame.sample_rate
    size = frame.format.bytes * (1 if frame.format.is_planar else frame.layout.nb_channels)
    for plane, whole in zip(rest.planes, frame.planes, strict=True):
        plane.update(bytes(memoryview(whole)[count * size : frame.samples * size]))
    return rest
