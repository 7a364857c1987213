"""`manage.py transcribe` as a process in a terminal, with the built-in engine."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.recordings import encode, speech
from tests.site import ROOT, wait_until
from tests.words import BECKETT, LARGEST_ERROR, word_error_rate
from uploads import file_types

pytestmark = pytest.mark.timeout(600)

END_SECONDS = 120.0  # for a command to end, while the machine runs other tests


class Terminal:
    """A pseudo-terminal for standard error, and the text written to it."""

    def __init__(self) -> None:
        self._controller, self.stream = pty.openpty()
        fcntl.ioctl(self.stream, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))  # rows and columns
        self.text = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        with suppress(OSError):  # the last writer has closed the terminal
            while piece := os.read(self._controller, 65536):
                self.text += piece.decode(errors="replace")

    def close(self) -> None:
        os.close(self.stream)
        self._reader.join()
        os.close(self._controller)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment without any set-up: no database, an empty folder for temporary files."""
    (tmp_path / "temporary").mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TRANSCRIBE_", "DJANGO_"))}
    return kept | {"TRANSCRIBE_DATA_DIR": str(tmp_path / "data"), "TMPDIR": str(tmp_path / "temporary")}


@pytest.fixture
def transcribe(environment: dict[str, str]) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    def transcribe(*arguments: object, **options: object) -> "subprocess.CompletedProcess[str]":
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        return subprocess.run(command(*arguments), env=environment, text=True, timeout=END_SECONDS, **streams)  # type: ignore[call-overload,no-any-return]

    return transcribe


def command(*arguments: object) -> list[str]:
    return [sys.executable, str(ROOT / "manage.py"), "transcribe", *map(str, arguments)]


def left_of(session: int) -> list[str]:
    """Return the running processes of a session: all that the command started, whichever parent they have now."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # the process ended just now
            name, rest = status.read_text().rsplit(")", 1)
            state, _, _, of_session = rest.split()[:4]
            if int(of_session) == session and state != "Z":
                found.append(name)
    return found


def test_command_prints_a_transcript_without_a_database(
    transcribe: Callable[..., "subprocess.CompletedProcess[str]"], tmp_path: Path
) -> None:
    done = transcribe(speech("beckett"))
    assert (done.returncode, done.stderr) == (0, "")
    assert word_error_rate(BECKETT, done.stdout) <= LARGEST_ERROR["beckett"]
    assert not [*tmp_path.rglob("*.sqlite3*")]
    assert not [*(tmp_path / "temporary").iterdir()]


def test_command_shows_live_text_and_progress_and_then_clears_both(environment: dict[str, str]) -> None:
    terminal = Terminal()
    done = subprocess.run(
        command(encode(speech("two_cities"), "wav", 15.0)),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=terminal.stream,
        text=True,
        timeout=END_SECONDS,
    )
    terminal.close()
    assert done.returncode == 0
    assert done.stdout.startswith("It was the best of times")
    shown = [part.strip() for part in re.split(r"[\r\n]|\x1b\[A", terminal.text)]
    percentages = [int(found[1]) for part in shown if (found := re.match(r"two_cities-15s\.wav +(\d+)% ", part))]
    assert percentages[0] == 0
    assert percentages == sorted(percentages)
    assert len(set(percentages)) > 2, "the progress bar moved"
    assert len({part for part in shown if part.startswith("It was")}) > 2, "the text appears while the command runs"
    assert shown[-1] == ""


def test_command_writes_captions_of_several_recordings_into_a_folder(
    transcribe: Callable[..., "subprocess.CompletedProcess[str]"], tmp_path: Path
) -> None:
    again = encode(speech("beckett"), "mp3")
    done = transcribe(speech("beckett"), again, "--format", "srt", "--output", tmp_path / "new" / "folder")
    assert (done.returncode, done.stdout) == (0, "")
    folder = tmp_path / "new" / "folder"
    assert sorted(path.name for path in folder.iterdir()) == ["beckett (2).srt", "beckett.srt"]
    for path in folder.iterdir():
        cues = path.read_text().strip().split("\n\n")
        assert len(cues) >= 3
        for number, cue in enumerate(cues, start=1):
            assert re.fullmatch(rf"{number}\n00:00:\d\d,\d{{3}} --> 00:00:\d\d,\d{{3}}\n.+", cue)
    assert done.stderr.splitlines() == [
        f"{speech('beckett')} → {folder / 'beckett.srt'}",
        f"{again} → {folder / 'beckett (2).srt'}",
    ]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_command_terminates_its_processes(
    environment: dict[str, str], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    terminal = Terminal()
    target = tmp_path / "out" / "two_cities.txt"
    target.parent.mkdir()
    target.write_text("of an earlier time")
    process = subprocess.Popen(
        command(speech("two_cities"), "--output", target),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=terminal.stream,
        start_new_session=True,
    )
    wait_until(lambda: "It was the best" in terminal.text, END_SECONDS, "the first words")
    assert left_of(process.pid)
    # Like a terminal: signal the command and all processes that it started.
    os.killpg(process.pid, number)
    output, _ = process.communicate(timeout=END_SECONDS)
    terminal.close()
    assert (process.returncode, output) == (code, b"")
    said = re.sub(r"\x1b\[[0-9;]*[mA]", "", terminal.text).strip().splitlines()
    sentence = f"Cancelled before {speech('two_cities')} was finished. No transcript of it was written."
    assert said[-1].strip() == f"CommandError: {sentence}"
    assert "Traceback" not in terminal.text
    assert left_of(process.pid) == []
    assert [path.name for path in target.parent.iterdir()] == ["two_cities.txt"]
    assert target.read_text() == "of an earlier time"
    assert not [*(tmp_path / "temporary").iterdir()]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
def test_command_reports_that_standard_output_is_full(
    transcribe: Callable[..., "subprocess.CompletedProcess[str]"],
) -> None:
    with open("/dev/full", "w") as full:
        done = transcribe(speech("beckett"), stdout=full)
    assert done.returncode == 1
    assert done.stderr == "CommandError: Could not write the transcript: No space left on device.\n"


def test_command_exits_with_1_after_a_file_without_audio(
    transcribe: Callable[..., "subprocess.CompletedProcess[str]"], tmp_path: Path
) -> None:
    (tmp_path / "letter.txt").write_text("Dear Alice, …")
    done = transcribe(tmp_path / "letter.txt")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"CommandError: {tmp_path / 'letter.txt'}: This is a text file. {file_types.SUPPORTED}\n"
