"""`manage.py transcribe`: as anybody would run it, with the real engine; and its answers to what can't be done."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from streaming.audio import Spool, open_spool_of_file
from streaming.engines.base import EngineError, Request
from streaming.engines.scripted import ScriptedEngine
from streaming.management.commands.transcribe import segments_of
from streaming.models import Job
from streaming.transcripts import Result
from tests.recordings import encode, speech
from tests.site import ROOT, wait_until
from tests.streaming.conftest import numbers
from tests.streaming.test_local import BECKETT, LARGEST_ERROR, word_error_rate
from uploads import kinds
from uploads.models import Upload

END_SECONDS = 120.0  # for a command to end, on a machine that is busy with other tests


class Terminal:
    """A terminal that standard error goes to, and what was written on it."""

    def __init__(self) -> None:
        self._controller, self.stream = pty.openpty()
        fcntl.ioctl(self.stream, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))  # rows and columns
        self.text = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        with suppress(OSError):  # how a terminal says that nobody writes on it any more
            while piece := os.read(self._controller, 65536):
                self.text += piece.decode(errors="replace")

    def close(self) -> None:
        os.close(self.stream)
        self._reader.join()
        os.close(self._controller)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A machine on which nothing was set up: no database, an empty folder for temporary files."""
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
    """Return the processes that still live in a session: those that the command started, wherever they belong now."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended in this moment
            name, rest = status.read_text().rsplit(")", 1)
            state, _, _, of_session = rest.split()[:4]
            if int(of_session) == session and state != "Z":
                found.append(name)
    return found


# As anybody would run it


def test_prints_what_was_said_and_needs_no_database(
    transcribe: Callable[..., "subprocess.CompletedProcess[str]"], tmp_path: Path
) -> None:
    done = transcribe(speech("beckett"))
    assert (done.returncode, done.stderr) == (0, "")
    assert word_error_rate(BECKETT, done.stdout) <= LARGEST_ERROR["beckett"]
    assert not [*tmp_path.rglob("*.sqlite3*")]
    assert not [*(tmp_path / "temporary").iterdir()]


def test_shows_the_words_and_how_far_it_is_on_a_terminal_and_leaves_neither(environment: dict[str, str]) -> None:
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
    assert len(set(percentages)) > 10
    assert len({part for part in shown if part.startswith("It was the best")}) > 1, "the first sentence grew"
    assert shown[-1] == ""


def test_writes_captions_of_several_recordings_into_a_folder(
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
def test_ends_all_that_it_started_when_it_is_interrupted_in_the_middle(
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
    # As a terminal does it: to the command and to all that it started.
    os.killpg(process.pid, number)
    output, _ = process.communicate(timeout=END_SECONDS)
    terminal.close()
    assert (process.returncode, output) == (code, b"")
    said = re.sub(r"\x1b\[[0-9;]*[mA]", "", terminal.text).strip().splitlines()
    sentence = f"Cancelled before {speech('two_cities')} was finished; nothing of it was written."
    assert said[-1].strip() == f"CommandError: {sentence}"
    assert "Traceback" not in terminal.text
    assert left_of(process.pid) == []
    assert [path.name for path in target.parent.iterdir()] == ["two_cities.txt"]
    assert target.read_text() == "of an earlier time"
    assert not [*(tmp_path / "temporary").iterdir()]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
def test_says_so_when_standard_output_takes_no_more(
    transcribe: Callable[..., "subprocess.CompletedProcess[str]"],
) -> None:
    with open("/dev/full", "w") as full:
        done = transcribe(speech("beckett"), stdout=full)
    assert done.returncode == 1
    assert done.stderr == "CommandError: The transcript can't be written: No space left on device.\n"


def test_exits_with_one_after_a_file_that_is_no_recording(
    transcribe: Callable[..., "subprocess.CompletedProcess[str]"], tmp_path: Path
) -> None:
    (tmp_path / "letter.txt").write_text("Dear Alice, …")
    done = transcribe(tmp_path / "letter.txt")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"CommandError: {tmp_path / 'letter.txt'}: This is text. {kinds.WHAT_WORKS}\n"


# Its answers, with the engine of the tests


def answer(*arguments: object) -> tuple[str, str]:
    """Return what the command writes, to standard output and to standard error."""
    output, errors = StringIO(), StringIO()
    call_command("transcribe", *map(str, arguments), stdout=output, stderr=errors, no_color=True)
    return output.getvalue(), errors.getvalue()


def test_prints_text(tmp_path: Path) -> None:
    assert answer(numbers(tmp_path / "six.wav", 6)) == ("w0 w1 w2 w3\nw4 w5\n", "")


def test_prints_srt(tmp_path: Path) -> None:
    captions = "1\n00:00:00,000 --> 00:00:02,000\nw0 w1 w2 w3\n\n2\n00:00:02,000 --> 00:00:03,000\nw4 w5\n"
    assert answer(numbers(tmp_path / "six.wav", 6), "--format", "srt") == (captions, "")


def test_prints_vtt(tmp_path: Path) -> None:
    captions = "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nw0 w1\n"
    assert answer(numbers(tmp_path / "two.wav", 2), "--format", "vtt") == (captions, "")


def test_prints_json_in_the_language_that_was_asked_for(tmp_path: Path) -> None:
    output, _ = answer(numbers(tmp_path / "one.wav", 1), "--format", "json", "--language", "de-DE")
    content = json.loads(output)
    job = content["job"]
    assert content["name"] == "one.wav"
    assert (job["engine"], job["language_code"], job["status"]) == ("scripted", "de-DE", "completed")
    assert (job["position"], job["duration"], job["segments"]) == (0.5, 0.5, 1)
    assert content["segments"] == [
        {
            "seq": 1,
            "start_time": 0.0,
            "end_time": 0.5,
            "text": "w0",
            "words": [{"text": "w0", "start_time": 0.0, "end_time": 0.5}],
        }
    ]


def test_tells_the_texts_of_several_recordings_apart(tmp_path: Path) -> None:
    one, two = numbers(tmp_path / "one.wav", 1), numbers(tmp_path / "two.wav", 2)
    assert answer(one, two) == (f"==> {one} <==\nw0\n\n==> {two} <==\nw0 w1\n\n", "")


def test_one_bad_file_does_not_stop_the_others(tmp_path: Path) -> None:
    good, bad, missing = numbers(tmp_path / "good.wav", 2), tmp_path / "bad.wav", tmp_path / "missing.wav"
    bad.write_text("Dear Alice, …")
    output, errors = StringIO(), StringIO()
    with pytest.raises(CommandError, match=r"^2 of 3 files were not transcribed\.$") as refused:
        call_command("transcribe", str(bad), str(missing), str(good), stdout=output, stderr=errors, no_color=True)
    assert refused.value.returncode == 1
    assert output.getvalue() == f"==> {good} <==\nw0 w1\n\n"
    assert errors.getvalue().splitlines() == [
        f"{bad}: This is text. {kinds.WHAT_WORKS}",
        f"There is no file {missing}.",
    ]


def test_writes_to_the_file_that_is_named_in_place_of_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    target = tmp_path / "out" / "transcript"
    target.write_text("older, and longer than what takes its place")
    one = numbers(tmp_path / "one.wav", 1)
    assert answer(one, "--output", target) == ("", f"{one} → {target}\n")
    assert target.read_text() == "w0\n"
    assert [*target.parent.iterdir()] == [target]


def test_writes_one_transcript_into_a_folder_that_is_there(tmp_path: Path) -> None:
    one = numbers(tmp_path / "one.wav", 1)
    answer(one, "--output", tmp_path, "--format", "vtt")
    assert (tmp_path / "one.vtt").read_text() == "WEBVTT\n\n00:00:00.000 --> 00:00:00.500\nw0\n"


def test_numbers_the_transcripts_of_recordings_of_one_name(tmp_path: Path) -> None:
    recordings = []
    for count in (1, 2, 3):
        (tmp_path / str(count)).mkdir()
        recordings.append(numbers(tmp_path / str(count) / "same.wav", count))
    answer(*recordings, "--output", tmp_path / "out")
    written = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert written == {"same.txt": "w0\n", "same (2).txt": "w0 w1\n", "same (3).txt": "w0 w1 w2\n"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["missing.wav"], "There is no file missing.wav."),
        (["folder"], "folder is not a file."),
        (["empty.wav"], f"empty.wav: The file is empty. {kinds.WHAT_WORKS}"),
        (["one.wav", "--engine", "abacus"], "There is no engine “abacus” here. There are: local, scripted."),
        (
            ["one.wav", "--language", "tlh"],
            "The engine “Scripted” does not know the language “tlh”. It knows: en-US, de-DE.",
        ),
        (["one.wav", "--format", "docx"], "There is no format “docx”. There are: text, srt, vtt, json."),
        (["one.wav", "--output", "nowhere/one.txt"], "There is no folder {here}/nowhere."),
        (["one.wav", "--output", "one.wav"], "The transcript would take the place of the recording {here}/one.wav."),
        (["one.wav", "--output", "/dev/null"], "/dev/null is there already, and not a file."),
        (["one.wav", "--output", "o" * 300], f"{'o' * 300} can't be used: File name too long."),
        (["one.wav", "one.wav", "--output", "empty.wav"], "empty.wav can't be used: File exists."),
        (
            ["one.wav", "one.wav", "--format", "srt"],
            "Several transcripts in this format need a folder: name it with --output.",
        ),
    ],
)
def test_says_what_can_not_be_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    numbers(tmp_path / "one.wav", 1)
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.wav").touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CommandError) as refused:
        answer(*arguments)
    assert str(refused.value) == sentence.format(here=tmp_path)
    assert refused.value.returncode == 1
    assert sorted(tmp_path.rglob("*")) == before


# Failures that may pass


class Faltering(ScriptedEngine):
    """Fails at two and a half seconds, as often as it is told to."""

    def __init__(self, failures: int) -> None:
        self.failures = failures

    async def transcribe(self, audio: Spool, request: Request) -> AsyncGenerator[Result, None]:
        options = {"words_per_final": 2}
        if self.failures:
            self.failures -= 1
            options |= {"fail_at": 2.5, "permanent": False}
        async for result in super().transcribe(audio, replace(request, options=options)):
            yield result


async def heard(path: Path, engine: ScriptedEngine) -> list[str]:
    job = Job(upload=Upload(name=path.name), engine=engine.name, language_code="en-US")
    async with open_spool_of_file(path, 16_000, path.parent) as spool:
        return [segment.text for segment in await segments_of(engine, spool, job, lambda _: None)]


async def test_goes_on_after_a_failure_that_passes_and_hears_nothing_twice(tmp_path: Path) -> None:
    path = numbers(tmp_path / "eight.wav", 8)
    assert await heard(path, Faltering(1)) == ["w0 w1", "w2 w3", "w4 w5", "w6 w7"]


async def test_gives_up_on_a_failure_that_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streaming.hearing.PAUSES_SECONDS", (0.0, 0.0))
    with pytest.raises(EngineError, match="The script says so"):
        await heard(numbers(tmp_path / "eight.wav", 8), Faltering(10))
