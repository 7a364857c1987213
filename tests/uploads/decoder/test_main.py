"""The decoder's program, run as a process: its messages, its limits, and when it ends."""

import base64
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import recordings
from tests.site import wait_until
from uploads.decoder.client import DECODER

NOTHING_SKIPPED = {"skipped": 0, "skipped_seconds": 0.0}
COMMAND = [sys.executable, "-I", str(DECODER)]


def run(mode: str, path: Path, *options: object, **changes: Any) -> tuple[list[dict[str, Any]], bytes]:
    """Run a decoder to its end. Returns its messages and its audio."""
    done = subprocess.run([*COMMAND, mode, str(path), *map(str, options)], capture_output=True, **changes)
    said = done.stderr if mode == "pcm" else done.stdout
    messages = [json.loads(line) for line in said.splitlines()]
    assert done.returncode == (1 if "error" in messages[-1] else 0)
    return messages, done.stdout if mode == "pcm" else b""


def test_probe_reports_the_properties_of_a_file() -> None:
    messages, _ = run("probe", recordings.encode(recordings.speech(), "mp4"))
    found = {"container": "mov,mp4,m4a,3gp,3g2,mj2", "codec": "aac", "sample_rate": 16_000, "channels": 1}
    track = {"codec": "aac", "language": "", "title": "", "sample_rate": 16_000, "channels": 1}
    track |= {"is_default": True, "is_decodable": True, "has_sound": None}
    length = {"duration": pytest.approx(9.96, abs=0.1)}
    found |= {"is_playable": False, "undeclared_seconds": 0.0}
    assert messages == [{"done": True, "track": 0, "tracks": [track]} | length | found]


def test_probe_refuses_a_text_file_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("No sound here. " * 100)
    messages, _ = run("probe", tmp_path / "text")
    assert messages == [{"error": "We couldn't read this file as audio or video.", "is_final": True, "samples": 0}]


def test_every_mode_reports_a_missing_file(tmp_path: Path) -> None:
    for mode in ("probe", "peaks", "pcm"):
        messages, _ = run(mode, tmp_path / "gone")
        assert messages == [{"error": "The file of this recording is missing.", "is_final": True, "samples": 0}]


def test_pcm_writes_samples_and_reports_progress() -> None:
    messages, sound = run("pcm", recordings.speech("two_cities"), "--rate", 8_000, "--channels", 2)
    samples = [message["samples"] for message in messages]
    assert samples == sorted(samples)
    assert next(filter(None, samples)) < 8_000  # it reports the first samples at once
    assert messages[-1] == {
        "done": True,
        "samples": 8_000 * 44_374_125 // 1_000_000,
        "skipped": 0,
        "skipped_seconds": 0.0,
    }
    assert len(sound) == samples[-1] * 4


def test_pcm_counts_packets_that_cannot_be_decoded(tmp_path: Path) -> None:
    content = bytearray(recordings.encode(recordings.speech(), "m4a").read_bytes())
    content[40_000:42_000] = np.random.default_rng(1).bytes(2_000)
    (tmp_path / "damaged").write_bytes(content)
    messages, _ = run("pcm", tmp_path / "damaged")
    assert messages[-1]["done"]
    assert messages[-1]["skipped"] > 0


def test_pcm_reports_at_most_twenty_times_a_second() -> None:
    started_at = time.monotonic()
    messages, sound = run("pcm", recordings.long_silence(2_000), "--rate", 8_000)
    assert len(sound) == 2_000 * 8_000 * 2
    assert 3 <= len(messages) <= 20 * (time.monotonic() - started_at) + 2  # and two for the first and the last message


def test_pcm_stops_at_the_longest_allowed_length() -> None:
    messages, sound = run("pcm", recordings.speech(), "--max-seconds", 4)
    error = {"error": "The recording is longer than 0.00111111 hours.", "is_final": False, "samples": 4 * 16_000}
    assert messages[-1] == error
    assert len(sound) == 4 * 16_000 * 2


def test_pcm_decodes_a_recording_of_exactly_the_longest_allowed_length() -> None:
    messages, _ = run("pcm", recordings.tone(1.0), "--max-seconds", 1)
    assert messages[-1] == {"done": True, "samples": 16_000} | NOTHING_SKIPPED


def test_pcm_reports_a_full_disk() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*COMMAND, "pcm", str(recordings.speech())], stdout=full, stderr=subprocess.PIPE)
    full = {"error": "The disk is full.", "is_final": False, "is_disk_full": True, "samples": 0}
    assert json.loads(done.stderr.splitlines()[-1]) == full


def test_pcm_reports_audio_that_exceeds_the_largest_file(tmp_path: Path) -> None:
    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    with open(tmp_path / "sound", "wb") as sound:
        command = [*COMMAND, "pcm", str(recordings.speech())]
        done = subprocess.run(command, stdout=sound, stderr=subprocess.PIPE, preexec_fn=small_files)
    message = json.loads(done.stderr.splitlines()[-1])
    sentence = "The recording is too long: its decoded audio exceeds the largest file that is allowed."
    assert message["error"] == sentence
    assert message["samples"] * 2 <= 100_000


def test_probe_fails_under_a_very_low_memory_limit() -> None:
    def little_memory() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (40_000_000, 40_000_000))

    command = [*COMMAND, "probe", str(recordings.speech())]
    done = subprocess.run(command, capture_output=True, preexec_fn=little_memory)
    assert done.returncode != 0  # Python itself may fail to start; `client.py` has a sentence for that


def test_peaks_report_the_exact_duration_and_the_loud_parts() -> None:
    samples = np.zeros((160_007, 1))
    samples[40_000:80_000] = 8_000
    messages, _ = run("peaks", recordings.write_wav("loud-quarter", samples, 16_000), "--count", 40)
    assert messages[-1]["duration"] == 160_007 / 16_000
    assert peaks_of(messages)[:9] == [0] * 9
    assert peaks_of(messages)[11:19] == [255] * 8
    assert peaks_of(messages)[21:] == [0] * 19


def test_peaks_amplify_quiet_recordings_but_not_silence() -> None:
    quiet, _ = run("peaks", recordings.tone(1.0, volume=0.01), "--count", 50)
    assert min(peaks_of(quiet)) > 200
    silent, _ = run("peaks", recordings.silence(1.0), "--count", 50)
    assert peaks_of(silent) == [0] * 50


def test_peaks_of_a_recording_with_one_click_do_not_look_silent() -> None:
    samples = np.full((160_000, 1), 1_000)
    samples[100] = 32_000
    messages, _ = run("peaks", recordings.write_wav("click", samples, 16_000))
    assert min(peaks_of(messages)) == 255


@pytest.mark.parametrize("seconds", [0.01, 0.5, 700])
def test_peaks_have_the_requested_number_for_any_length(seconds: float) -> None:
    path = recordings.long_silence(700) if seconds == 700 else recordings.tone(seconds)
    messages, _ = run("peaks", path)
    assert messages[-1]["duration"] == seconds
    assert len(peaks_of(messages)) == 1_000


@pytest.mark.parametrize("rate", [11_025, 44_100])
def test_peaks_of_a_long_recording_show_its_loud_part(rate: int, tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    with open(recordings.long_silence(1_500, rate=rate), "rb") as silence, open(path, "wb") as file:
        file.write(silence.read(44))
        file.seek(44 + 1_000 * rate * 2)
        file.write(np.full(rate * 6, 9_000, "<i2").tobytes())
        file.truncate(44 + 1_500 * rate * 2)
    messages, _ = run("peaks", path, "--count", 1_500)
    loud = [second for second, peak in enumerate(peaks_of(messages)) if peak]
    assert loud in (list(range(1_000, 1_006)), list(range(999, 1_006)), list(range(1_000, 1_007)))
    assert messages[-1]["duration"] == 1_500


def peaks_of(messages: list[dict[str, Any]]) -> list[int]:
    return list(base64.b64decode(messages[-1]["peaks"]))


@pytest.mark.parametrize("mode", ["probe", "peaks", "pcm"])
def test_the_memory_of_a_decoder_does_not_grow_with_the_length(mode: str) -> None:
    # A small process starts the decoder, because a child's peak memory begins with that of its parent.
    program = (
        "import resource, subprocess, sys\n"
        "code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )

    def most_memory(path: Path) -> int:
        command = [sys.executable, "-I", "-c", program, *COMMAND, mode, str(path)]
        code, kibibytes = map(int, subprocess.check_output(command).split())
        assert code == 0
        return kibibytes

    short, long = (most_memory(recordings.long_silence(seconds, rate=8_000)) for seconds in (60, 3_600))
    assert long - short < 12 * 1024
    assert long < 100 * 1024


def test_a_decoder_limits_its_own_resources() -> None:
    path = recordings.long_silence(12 * 3_600)
    decoder = subprocess.Popen([*COMMAND, "pcm", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    with decoder:
        assert decoder.stderr is not None
        decoder.stderr.readline()  # its first message shows that it has set its limits
        lines = Path(f"/proc/{decoder.pid}/limits").read_text().splitlines()
        decoder.kill()
    hard = {line[:26].strip(): line[47:68].strip() for line in lines}
    assert hard["Max address space"] == str(3 * 1024**3 // 2)
    assert hard["Max cpu time"] == "1805"
    assert hard["Max open files"] == "32"
    assert hard["Max core file size"] == "0"
    assert hard["Max file size"] == str((12 * 3_600 + 1) * 16_000 * 2)


def test_a_decoder_ends_when_its_parent_process_is_killed() -> None:
    path = recordings.long_silence(12 * 3_600)
    program = (
        "import os, subprocess, sys\n"
        f"command = [*{COMMAND!r}, 'pcm', {str(path)!r}, '--parent', str(os.getpid())]\n"
        "decoder = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)\n"
        "decoder.stderr.readline()\n"
        "os.kill(decoder.pid, 19)\n"  # SIGSTOP: a stopped process can't exit by itself
        "print(decoder.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        decoder = int(parent.stdout.readline())
        assert is_running(decoder)
        parent.kill()
    wait_until(lambda: not is_running(decoder), what="the end of the decoder")


def test_a_decoder_does_not_start_without_its_parent_process() -> None:
    done = subprocess.run([*COMMAND, "probe", str(recordings.speech()), "--parent", "1"], capture_output=True)
    assert (done.returncode, done.stdout) == (1, b"")


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
