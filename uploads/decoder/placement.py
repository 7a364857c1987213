"""A recording's packets and frames on its timeline: how long it is, and its frames without a hole.

Only the decoder calls this. Duration, waveform, spool and listening copy all come from here, so that they agree.
"""

import itertools
from collections.abc import Iterator
from typing import TypeVar

import av

from uploads.decoder.audio_track import Recording
from uploads.decoder.demux import start_of, trimmed
from uploads.decoder.timeline import Piece, Placed, Timeline

SPLICED = {"mpegts", "mpeg"}  # containers whose clock may restart within a file


Content = TypeVar("Content")


def _placed(recording: Recording, pieces: Iterator[Piece[Content]]) -> Iterator[Placed[Content]]:
    zero = recording.demuxer.zero - recording.demuxer.shifts.get(recording.stream.index, 0.0)
    return Timeline(zero, is_spliced=recording.container.format.name in SPLICED).place(pieces)


def seconds(recording: Recording) -> float | None:
    """Return the length by a walk over all packets, without decoding: headers lie about it.

    Right to some hundredths of a second. None where too few packets say how long they are.
    """
    total, known, unknown = 0.0, 0, 0
    for placed in _placed(recording, _packets(recording)):
        total += placed.gap + placed.seconds
        known, unknown = known + placed.content, unknown + (not placed.content)
    return None if unknown * 100 > known else total


def _packets(recording: Recording) -> Iterator[Piece[bool]]:
    """Yield the packets without what FFmpeg drops of them; their content is whether they say how long they are."""
    priming = 0.0  # seconds that are still to be dropped
    # Other containers with padding at the end, Ogg and Matroska, give the last packet the length that is left.
    has_padding = recording.container.format.name == "mp3"
    rate = recording.stream.codec_context.sample_rate or 1
    for number, packet in enumerate(recording.packets()):
        if number == 0 and not recording.length(packet):
            recording.decode(packet)  # now its decoder knows the length of a frame, if all have the same
        start, length = start_of(packet, recording.time_base), recording.length(packet)
        begin, end = trimmed(packet)
        priming += begin / rate
        before = length if packet.is_discard else min(priming, length)
        priming = max(0.0, priming - before)
        after = min(end / rate, length - before) if has_padding else 0.0
        yield Piece(None if start is None else start + before, length - before - after, bool(length))


def frames(recording: Recording) -> Iterator[av.AudioFrame | None]:
    """Yield the frames one after another from the first sample on, with silent ones where the times leave a hole.

    Yields None for a packet that can't be decoded, so that the caller can show that it is alive.
    """
    silent = 0.0  # seconds of silence that are due; negative: of audio that must be left out
    last = None
    for placed in _placed(recording, _frames(recording)):
        silent += placed.gap - placed.cut
        frame = placed.content
        if frame is None:
            silent += placed.seconds
            yield None
            continue
        # Less than half a sample is carried over: thousands of holes must not add up.
        count = max(round(silent * frame.sample_rate), -frame.samples)
        silent -= count / frame.sample_rate
        yield from silence(frame, count)
        if frame.samples + count > 0:
            yield without_beginning(frame, -count)
        last = frame
    if last is not None:
        yield from silence(last, round(silent * last.sample_rate))


def _frames(recording: Recording) -> Iterator[Piece[av.AudioFrame | None]]:
    """Yield the frames. A packet that can't be decoded is silence of its length."""
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
            # The times of the frames that follow leave the hole, and the decoder may still hold frames before it.
            yield Piece(None, 0.0, None)
            lost_until = start + length
    yield Piece(lost_until, 0.0, None)


def silence(like: av.AudioFrame, count: int) -> Iterator[av.AudioFrame]:
    """Yield `count` silent samples in frames of the same kind as `like`, of at most a second."""
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
