"""The decoder: a program of its own that opens one file of a stranger, and nothing else.

`client.py` runs it as `python -I __main__.py probe|peaks|pcm|listen FILE …`, so that a hostile file can only kill its
decoder. It limits itself before it looks at the file: memory, time, output, open files. Its messages are JSON
objects, one a line: on standard output, or for `pcm` and `listen`, whose standard output is the audio, on standard
error.
"""

import argparse
import base64
import contextlib
import ctypes
import errno
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from av.error import FFmpegError

sys.path.append(str(Path(__file__).parents[2]))  # -I leaves it out; last, so that nothing there hides a library

from uploads import tracks
from uploads.decoder import browser_support, placement, resampling, track_probe, wav_header
from uploads.decoder.audio_track import Recording
from uploads.decoder.demux import Refused
from uploads.decoder.mixing import Mix

# Address space. The probe is the first to meet a hostile file: real ones of twelve hours take 300 MiB, 120 of them
# for libraries, and a sample table of 40 million entries 1.4 GiB. Later decoders only see files that passed it.
MEMORY_BYTES = 3 * 1024**3 // 2
PROBE_MEMORY_BYTES = 512 * 1024**2
CPU_SECONDS = 1800  # twelve hours take about a twentieth of it as samples, a third as a listening copy
PROBE_CPU_SECONDS = 300  # twelve hours that have to be decoded to know their length take about a third of it
COPY_BYTES = 24_000  # of a listening copy, a second: twice its bit rate, so that nothing real meets the limit
MESSAGE_BYTES = 1024**2  # what `probe` and `peaks` may write to a file; they need a few kilobytes
REPORT_SECONDS = 0.05
NICENESS = 5  # for what nobody waits for: the waveform, and all of the sound but its beginning
BLOCK_BYTES = 64 * 1024
WAVEFORM_BINS = 2**18  # at most, before they are joined by two
FULL = {errno.ENOSPC, errno.EDQUOT}
QUIET = 64  # of 32768: a waveform that stays below is drawn as the silence that it is


@dataclass
class Report:
    """What is told as the work goes on. `samples` counts frames: one for all channels together."""

    channel: int
    samples: int = 0
    said_at: float = field(default_factory=time.monotonic)

    def say(self, **message: object) -> None:
        os.write(self.channel, json.dumps(message).encode() + b"\n")
        self.said_at = time.monotonic()

    @property
    def is_due(self) -> bool:
        return time.monotonic() - self.said_at >= REPORT_SECONDS


def limit(output_bytes: int, *, is_probe: bool) -> None:
    """Give up, for good, what decoding does not need."""
    memory = PROBE_MEMORY_BYTES if is_probe else MEMORY_BYTES
    cpu = PROBE_CPU_SECONDS if is_probe else CPU_SECONDS
    most = {"AS": memory, "CPU": cpu, "FSIZE": output_bytes, "NOFILE": 32, "CORE": 0}
    for name, value in most.items():
        # Not every system has every limit (macOS has no RLIMIT_AS), and one that is lower already stays.
        # At the lower limit of time comes SIGXCPU, which says what it is; at the upper one SIGKILL.
        upper = value + 5 if name == "CPU" else value
        with contextlib.suppress(AttributeError, ValueError, OSError):
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, upper))


def die_with(parent: int) -> None:
    """See to it that nothing goes on decoding for a process that is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, ctypes.c_ulong(signal.SIGKILL))  # PR_SET_PDEATHSIG
    if parent and os.getppid() != parent:
        sys.exit(1)  # it ended before the line above


def probe(path: str, report: Report, max_seconds: int) -> None:
    """Say what is in the file. Its headers are not believed: a frame is decoded, and the packets are counted."""
    found = track_probe.look(path)
    track = tracks.chosen(found)
    recording, rate = Recording(path, track), found[track]["sample_rate"]
    seconds = placement.seconds(recording)
    if seconds is None:
        seconds = 0.0
        for block in resampling.pcm(Recording(path, track), rate, 1):
            seconds += len(block) / 2 / rate
            if seconds > max_seconds:
                break  # that is enough to refuse it: with leaping times a small file can last for days
    report.say(
        done=True,
        container=recording.container.format.name,
        codec=recording.codec,
        duration=round(seconds, 3),
        sample_rate=rate,
        channels=found[track]["channels"],
        track=track,
        tracks=found,
        undeclared_seconds=wav_header.undeclared_seconds(path, seconds),
        is_playable=browser_support.is_playable(recording.container, found, path),
    )


def source(path: str, track: str) -> Recording | Mix:
    """Return what `--track` names: one track of the file, or all of them mixed."""
    return Mix(path) if track == tracks.ALL else Recording(path, int(track))


def samples_of(recording: Recording | Mix, rate: int, channels: int) -> Iterator[bytes]:
    return recording.pcm(rate, channels) if isinstance(recording, Mix) else resampling.pcm(recording, rate, channels)


def peaks(path: str, report: Report, count: int, max_seconds: int, track: str) -> None:
    """Say the exact duration and `count` peaks, one byte each: the loudest sample of each equal part."""
    import numpy as np  # takes a tenth of a second, which `pcm` has no time for

    os.nice(NICENESS)

    with source(path, track) as recording:
        first = recording.first_frame()
    rate, channels = first.sample_rate, min(2, first.layout.nb_channels)
    # The length is known at the end only: bins of a millisecond, joined by two when there are too many of them.
    bins, width, rest = np.zeros(0, np.uint16), max(1, rate // 1000) * channels, bytearray()

    def fill_bins(number: int) -> None:
        nonlocal bins
        samples = np.frombuffer(rest[: number * width * 2], "<i2").astype(np.int32)
        bins = np.concatenate((bins, np.abs(samples).reshape(number, width).max(axis=1).astype(np.uint16)))
        del rest[: number * width * 2]

    recording = source(path, track)
    for block in samples_of(recording, rate, channels):
        report.samples += len(block) // (2 * channels)
        if report.samples > max_seconds * rate:
            raise TooLong(max_seconds)
        rest += block
        if len(rest) >= 16 * BLOCK_BYTES:
            number = len(rest) // (2 * width)
            fill_bins(number - (len(bins) + number) % 2)  # so that there is an even number of them to be joined
            if len(bins) > WAVEFORM_BINS:
                bins, width = bins.reshape(-1, 2).max(axis=1), 2 * width
        if report.is_due:
            report.say(samples=report.samples)
    rest += bytes(-len(rest) % (2 * width))
    fill_bins(len(rest) // (2 * width))
    loudest = np.maximum.reduceat(bins, np.arange(count) * len(bins) // count)
    # One click must not make everything else look silent: the loudest hundredth may be cut.
    heights = np.minimum(loudest / max(QUIET, np.percentile(loudest, 99)) * 255, 255).astype(np.uint8)
    report.say(
        done=True,
        duration=report.samples / rate,
        peaks=base64.b64encode(heights.tobytes()).decode(),
        skipped_seconds=recording.skipped_seconds,
    )


def pcm(path: str, report: Report, rate: int, channels: int, max_seconds: int, track: str) -> None:
    """Write the sound to standard output, and say how far it is: at once for the first of it, then now and again."""
    recording, waiting, frame_bytes = source(path, track), bytearray(), 2 * channels

    def write_out() -> None:
        frames = min(len(waiting) // frame_bytes, max_seconds * rate - report.samples)
        is_too_long = frames * frame_bytes < len(waiting)
        del waiting[frames * frame_bytes :]
        while waiting:
            del waiting[: os.write(1, waiting)]  # not all of it is taken when the disk is nearly full
        if frames and not report.samples:
            os.nice(NICENESS)
        report.samples += frames
        if is_too_long:
            raise TooLong(max_seconds)

    for block in samples_of(recording, rate, channels):
        waiting += block
        is_time = report.is_due or (waiting and not report.samples)  # the first words are waited for
        if is_time or len(waiting) >= BLOCK_BYTES:
            write_out()
        if is_time:
            report.say(samples=report.samples)
    write_out()
    if not report.samples:
        raise recording.refusal()
    report.say(done=True, samples=report.samples, skipped=recording.skipped, skipped_seconds=recording.skipped_seconds)


class TooLong(Refused):
    """The recording is longer than this site allows, which its settings can change."""

    def __init__(self, max_seconds: int) -> None:
        super().__init__(f"The recording is longer than {max_seconds / 3600:g} hours.")


def listen(path: str, report: Report, channels: int, max_seconds: int, track: str) -> None:
    """Write the listening copy to standard output, and report how far it is."""
    from uploads.decoder import aac  # the other modes need no encoder

    os.nice(NICENESS)
    recording = source(path, track)

    def on_progress(samples: int) -> None:
        report.samples = samples
        if samples > max_seconds * aac.RATE:
            raise TooLong(max_seconds)
        if report.is_due:
            report.say(samples=samples)

    aac.encode(samples_of(recording, aac.RATE, channels), channels, 1, on_progress)
    if not report.samples:
        raise recording.refusal()
    report.say(done=True, samples=report.samples)


def sentence(error: Exception) -> str:
    """Return what went wrong in words for a person who can't see the machine."""
    if isinstance(error, Refused):
        return str(error)
    if isinstance(error, MemoryError | ImportError):  # a library that finds no room for itself
        return "Decoding this file takes more memory than a recording may."
    if isinstance(error, OSError) and error.errno in FULL:
        return "The disk is full."
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        return "The recording is too long: its sound is larger than one file may be."
    if isinstance(error, FileNotFoundError):
        return "The file of this recording is missing."
    return f"The file can't be read: {getattr(error, 'strerror', None) or error}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=("probe", "peaks", "pcm", "listen"))
    parser.add_argument("path")
    parser.add_argument("--parent", type=int, default=0, help="the process without which this one must not go on")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--rate", type=int, default=16_000)
    parser.add_argument("--channels", type=int, choices=(1, 2), default=1)
    parser.add_argument("--max-seconds", type=int, default=12 * 3600)
    parser.add_argument("--track", default="0", help="the index of an audio track, or “all” of them mixed")
    given = parser.parse_args()
    die_with(given.parent)
    largest = {  # of the modes whose standard output is audio
        "pcm": (given.max_seconds + 1) * given.rate * given.channels * 2,
        "listen": (given.max_seconds + 60) * COPY_BYTES,
    }
    limit(largest.get(given.mode, MESSAGE_BYTES), is_probe=given.mode == "probe")
    report = Report(channel=2 if given.mode in largest else 1)
    try:
        if given.mode == "pcm":
            pcm(given.path, report, given.rate, given.channels, given.max_seconds, given.track)
        elif given.mode == "listen":
            listen(given.path, report, given.channels, given.max_seconds, given.track)
        elif given.mode == "peaks":
            peaks(given.path, report, given.count, given.max_seconds, given.track)
        else:
            probe(given.path, report, given.max_seconds)
    except BrokenPipeError:
        sys.exit(1)  # nobody listens any more
    except (Refused, MemoryError, ImportError, OSError, FFmpegError, ValueError) as error:
        # Another attempt reads the same file.
        is_final = isinstance(error, Refused | FileNotFoundError) and not isinstance(error, TooLong)
        is_full = isinstance(error, OSError) and error.errno in FULL
        further = {"is_disk_full": True} if is_full else {}
        report.say(error=sentence(error), is_final=is_final, samples=report.samples, **further)
        sys.exit(1)


if __name__ == "__main__":
    main()
