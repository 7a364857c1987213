"""The decoder's program: it opens one untrusted media file in a process that does nothing else.

`client.py` runs it as `python -I __main__.py probe|peaks|pcm|listen FILE …`, so that a hostile file can only crash
its own decoder. The program limits its memory, CPU time, output and open files before it opens the file. It reports
in JSON objects, one a line. The messages go to standard output. In the modes `pcm` and `listen` standard output is
the audio, so the messages go to standard error.
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

# `python -I` does not add the project's folder. It goes last, so that no module there hides a library's.
sys.path.append(str(Path(__file__).parents[2]))

from uploads import tracks
from uploads.decoder import browser_support, placement, resampling, track_probe, wav_header
from uploads.decoder.audio_track import Recording
from uploads.decoder.demux import Refused
from uploads.decoder.mixing import Mix

# Limits of the address space. The probe is the first decoder to open a hostile file, so its limit is lower. A real file
# of twelve hours needs 300 MiB, of which the libraries need 120; a hostile sample table of 40 million entries needs
# 1.4 GiB. Later decoders only open files that the probe has accepted.
MEMORY_BYTES = 3 * 1024**3 // 2
PROBE_MEMORY_BYTES = 512 * 1024**2
CPU_SECONDS = 1800  # decoding twelve hours takes about a twentieth of it, encoding their listening copy a third
PROBE_CPU_SECONDS = 300  # if the probe must decode twelve hours to find their length, that takes a third of it
COPY_BYTES = 24_000  # the most bytes of a listening copy for a second of audio: twice its highest bit rate
MESSAGE_BYTES = 1024**2  # the most bytes that `probe` and `peaks` may write; they need a few kilobytes
REPORT_SECONDS = 0.05
NICENESS = 5  # lowers the priority of work that no person waits for: all but the probe and the first samples of `pcm`
BLOCK_BYTES = 64 * 1024
WAVEFORM_BINS = 2**18  # if there are more bins, each pair of neighbours is merged into one
FULL = {errno.ENOSPC, errno.EDQUOT}
QUIET = 64  # of 32768: a waveform with all peaks below this is not scaled up, so that silence looks silent


@dataclass
class Report:
    """Writes the decoder's messages to the descriptor `channel`.

    `samples` is the progress in samples of each channel: a stereo pair counts once.
    """

    channel: int
    samples: int = 0
    sent_at: float = field(default_factory=time.monotonic)

    def send(self, **message: object) -> None:
        os.write(self.channel, json.dumps(message).encode() + b"\n")
        self.sent_at = time.monotonic()

    @property
    def is_due(self) -> bool:
        return time.monotonic() - self.sent_at >= REPORT_SECONDS


def limit(output_bytes: int, *, is_probe: bool) -> None:
    """Limit the resources of this process irrevocably to the needs of a decoder."""
    memory = PROBE_MEMORY_BYTES if is_probe else MEMORY_BYTES
    cpu = PROBE_CPU_SECONDS if is_probe else CPU_SECONDS
    most = {"AS": memory, "CPU": cpu, "FSIZE": output_bytes, "NOFILE": 32, "CORE": 0}
    for name, value in most.items():
        # Not every system has every limit (macOS has no RLIMIT_AS), and raising a lower hard limit is not allowed.
        # At the soft CPU limit the kernel sends SIGXCPU, which shows `client.py` the reason; at the hard one SIGKILL.
        upper = value + 5 if name == "CPU" else value
        with contextlib.suppress(AttributeError, ValueError, OSError):
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, upper))


def end_with_parent(parent: int) -> None:
    """End this process when the process `parent` ends, so that no decoder runs on after a crash of the site."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, ctypes.c_ulong(signal.SIGKILL))  # PR_SET_PDEATHSIG
    if parent and os.getppid() != parent:
        sys.exit(1)  # the parent ended before the call above, so the kernel will send no signal


def probe(path: str, report: Report, max_seconds: int) -> None:
    """Report the file's properties. Headers may lie, so a frame is decoded and the packets' lengths are added up."""
    found = track_probe.describe_tracks(path)
    track = tracks.chosen(found)
    recording, rate = Recording(path, track), found[track]["sample_rate"]
    seconds = placement.seconds(recording)
    if seconds is None:
        seconds = 0.0
        for block in resampling.pcm(Recording(path, track), rate, 1):
            seconds += len(block) / 2 / rate
            if seconds > max_seconds:
                break  # already too long. A small file whose timestamps jump can decode to days of silence
    report.send(
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
    """Open the track that `--track` names: one track of the file, or all of them mixed."""
    return Mix(path) if track == tracks.ALL else Recording(path, int(track))


def samples_of(recording: Recording | Mix, rate: int, channels: int) -> Iterator[bytes]:
    return recording.pcm(rate, channels) if isinstance(recording, Mix) else resampling.pcm(recording, rate, channels)


def peaks(path: str, report: Report, count: int, max_seconds: int, track: str) -> None:
    """Report the exact duration and `count` peaks of one byte: the loudest sample of each of `count` equal parts."""
    import numpy as np  # inline: importing it takes a tenth of a second, which would delay the first words of `pcm`

    os.nice(NICENESS)

    with source(path, track) as recording:
        first = recording.first_frame()
    rate, channels = first.sample_rate, min(2, first.layout.nb_channels)
    # The length is known only at the end. So collect bins of a millisecond, and merge neighbours if there are too many.
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
            fill_bins(number - (len(bins) + number) % 2)  # an even number of bins, so that pairs can be merged
            if len(bins) > WAVEFORM_BINS:
                bins, width = bins.reshape(-1, 2).max(axis=1), 2 * width
        if report.is_due:
            report.send(samples=report.samples)
    rest += bytes(-len(rest) % (2 * width))
    fill_bins(len(rest) // (2 * width))
    loudest = np.maximum.reduceat(bins, np.arange(count) * len(bins) // count)
    # Scale by the 99th percentile, so that one loud click does not make all speech look silent.
    heights = np.minimum(loudest / max(QUIET, np.percentile(loudest, 99)) * 255, 255).astype(np.uint8)
    report.send(
        done=True,
        duration=report.samples / rate,
        peaks=base64.b64encode(heights.tobytes()).decode(),
        skipped_seconds=recording.skipped_seconds,
    )


def pcm(path: str, report: Report, rate: int, channels: int, max_seconds: int, track: str) -> None:
    """Write the samples to standard output and report progress: at once for the first samples, then periodically."""
    recording, waiting, frame_bytes = source(path, track), bytearray(), 2 * channels

    def write_out() -> None:
        frames = min(len(waiting) // frame_bytes, max_seconds * rate - report.samples)
        is_too_long = frames * frame_bytes < len(waiting)
        del waiting[frames * frame_bytes :]
        while waiting:
            del waiting[: os.write(1, waiting)]  # a nearly full disk accepts only a part
        if frames and not report.samples:
            os.nice(NICENESS)
        report.samples += frames
        if is_too_long:
            raise TooLong(max_seconds)

    for block in samples_of(recording, rate, channels):
        waiting += block
        is_time = report.is_due or (waiting and not report.samples)  # a person waits for the first words
        if is_time or len(waiting) >= BLOCK_BYTES:
            write_out()
        if is_time:
            report.send(samples=report.samples)
    write_out()
    if not report.samples:
        raise recording.refusal()
    report.send(done=True, samples=report.samples, skipped=recording.skipped, skipped_seconds=recording.skipped_seconds)


class TooLong(Refused):
    """The recording is longer than the site allows. The error is not final: an administrator can raise the limit."""

    def __init__(self, max_seconds: int) -> None:
        super().__init__(f"The recording is longer than {max_seconds / 3600:g} hours.")


def listen(path: str, report: Report, channels: int, max_seconds: int, track: str) -> None:
    """Write the listening copy to standard output and report progress."""
    from uploads.decoder import aac  # inline: the other modes need no encoder

    os.nice(NICENESS)
    recording = source(path, track)

    def on_progress(samples: int) -> None:
        report.samples = samples
        if samples > max_seconds * aac.RATE:
            raise TooLong(max_seconds)
        if report.is_due:
            report.send(samples=samples)

    aac.encode(samples_of(recording, aac.RATE, channels), channels, 1, on_progress)
    if not report.samples:
        raise recording.refusal()
    report.send(done=True, samples=report.samples)


def sentence(error: Exception) -> str:
    """Return an error as a sentence for the people who use the site."""
    if isinstance(error, Refused):
        return str(error)
    if isinstance(error, MemoryError | ImportError):  # under the memory limit even importing a library may fail
        return "Decoding this file takes too much memory."
    if isinstance(error, OSError) and error.errno in FULL:
        return "The disk is full."
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        return "The recording is too long: its decoded audio exceeds the largest file that is allowed."
    if isinstance(error, FileNotFoundError):
        return "The file of this recording is missing."
    return f"The file can't be read: {getattr(error, 'strerror', None) or error}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=("probe", "peaks", "pcm", "listen"))
    parser.add_argument("path")
    parser.add_argument("--parent", type=int, default=0, help="id of the parent process; the decoder ends with it")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--rate", type=int, default=16_000)
    parser.add_argument("--channels", type=int, choices=(1, 2), default=1)
    parser.add_argument("--max-seconds", type=int, default=12 * 3600)
    parser.add_argument("--track", default="0", help="the index of an audio track, or “all” of them mixed")
    given = parser.parse_args()
    end_with_parent(given.parent)
    largest = {  # the output limits in bytes of the modes whose standard output is audio
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
        sys.exit(1)  # the client has closed the pipe, so no message can reach it
    except (Refused, MemoryError, ImportError, OSError, FFmpegError, ValueError) as error:
        # Final errors come from the file, which will be the same at a retry. Others come from this machine or its
        # settings. FFmpeg's errors count as the machine's, because a failing disk causes them too.
        is_final = isinstance(error, Refused | FileNotFoundError) and not isinstance(error, TooLong)
        is_full = isinstance(error, OSError) and error.errno in FULL
        further = {"is_disk_full": True} if is_full else {}
        report.send(error=sentence(error), is_final=is_final, samples=report.samples, **further)
        sys.exit(1)


if __name__ == "__main__":
    main()
