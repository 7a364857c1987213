"""The output of `manage.py transcribe` with the scripted engine: each format, and each error."""

import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from streaming.engines.aws.engine import AwsEngine
from streaming.engines.base import EngineError, Request
from streaming.engines.scripted import ScriptedEngine
from streaming.management.commands.transcribe import segments_of
from streaming.models import Job
from streaming.results import Result
from streaming.spool import Spool, open_spool_of_file
from tests.recordings import tone
from tests.streaming.conftest import numbers
from uploads import file_types
from uploads.models import Upload


def answer(*arguments: object) -> tuple[str, str]:
    """Return the command's standard output and standard error."""
    output, errors = StringIO(), StringIO()
    call_command("transcribe", *map(str, arguments), stdout=output, stderr=errors, no_color=True)
    return output.getvalue(), errors.getvalue()


def test_command_prints_text(tmp_path: Path) -> None:
    assert answer(numbers(tmp_path / "six.wav", 6)) == ("w0 w1 w2 w3\nw4 w5\n", "")


def test_command_prints_srt(tmp_path: Path) -> None:
    captions = "1\n00:00:00,000 --> 00:00:02,000\nw0 w1 w2 w3\n\n2\n00:00:02,000 --> 00:00:03,000\nw4 w5\n"
    assert answer(numbers(tmp_path / "six.wav", 6), "--format", "srt") == (captions, "")


def test_command_prints_vtt(tmp_path: Path) -> None:
    captions = "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nw0 w1\n"
    assert answer(numbers(tmp_path / "two.wav", 2), "--format", "vtt") == (captions, "")


def test_command_prints_json_with_the_requested_language(tmp_path: Path) -> None:
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


def test_command_prints_a_heading_for_each_of_several_recordings(tmp_path: Path) -> None:
    one, two = numbers(tmp_path / "one.wav", 1), numbers(tmp_path / "two.wav", 2)
    assert answer(one, two) == (f"==> {one} <==\nw0\n\n==> {two} <==\nw0 w1\n\n", "")


def test_command_continues_after_a_bad_file(tmp_path: Path) -> None:
    good, bad, missing = numbers(tmp_path / "good.wav", 2), tmp_path / "bad.wav", tmp_path / "missing.wav"
    bad.write_text("Dear Alice, …")
    output, errors = StringIO(), StringIO()
    with pytest.raises(CommandError, match=r"^2 of 3 files were not transcribed\.$") as refused:
        call_command("transcribe", str(bad), str(missing), str(good), stdout=output, stderr=errors, no_color=True)
    assert refused.value.returncode == 1
    assert output.getvalue() == f"==> {good} <==\nw0 w1\n\n"
    assert errors.getvalue().splitlines() == [
        f"{bad}: This is a text file. {file_types.SUPPORTED}",
        f"There is no file {missing}.",
    ]


def test_command_overwrites_the_output_file(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    target = tmp_path / "out" / "transcript"
    target.write_text("older, and longer than what takes its place")
    one = numbers(tmp_path / "one.wav", 1)
    assert answer(one, "--output", target) == ("", f"{one} → {target}\n")
    assert target.read_text() == "w0\n"
    assert [*target.parent.iterdir()] == [target]


def test_command_writes_one_transcript_into_an_existing_folder(tmp_path: Path) -> None:
    one = numbers(tmp_path / "one.wav", 1)
    answer(one, "--output", tmp_path, "--format", "vtt")
    assert (tmp_path / "one.vtt").read_text() == "WEBVTT\n\n00:00:00.000 --> 00:00:00.500\nw0\n"


def test_command_numbers_transcripts_of_recordings_with_the_same_name(tmp_path: Path) -> None:
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
        (["empty.wav"], f"empty.wav: The file is empty. {file_types.SUPPORTED}"),
        (["one.wav", "--engine", "abacus"], "This site has no engine “abacus”. Choose one of: local, scripted."),
        (
            ["one.wav", "--language", "tlh"],
            "The engine “Scripted” does not support the language “tlh”. Choose one of: en-US, de-DE.",
        ),
        (["one.wav", "--format", "docx"], "There is no format “docx”. Choose one of: text, srt, vtt, json."),
        (["one.wav", "--output", "nowhere/one.txt"], "There is no folder {here}/nowhere."),
        (
            ["one.wav", "--output", "one.wav"],
            "The transcript would overwrite the recording {here}/one.wav. Choose another path with --output.",
        ),
        (["one.wav", "--output", "/dev/null"], "/dev/null already exists and is not a file."),
        (["one.wav", "--output", "o" * 300], f"{'o' * 300} can't be used: File name too long."),
        (["one.wav", "one.wav", "--output", "empty.wav"], "empty.wav can't be used: File exists."),
        (
            ["one.wav", "one.wav", "--format", "srt"],
            "Several transcripts in this format need a folder. Set it with --output.",
        ),
    ],
)
def test_command_reports_invalid_arguments(
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


# Transient failures


class Faltering(ScriptedEngine):
    """Fails at 2.5 s, a given number of times."""

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


async def test_command_retries_after_a_transient_failure_without_repeating_words(tmp_path: Path) -> None:
    path = numbers(tmp_path / "eight.wav", 8)
    assert await heard(path, Faltering(1)) == ["w0 w1", "w2 w3", "w4 w5", "w6 w7"]


async def test_command_fails_after_a_permanent_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streaming.worker.retry.FIRST_PAUSE_SECONDS", 0.0)
    with pytest.raises(EngineError, match="The script says so"):
        await heard(numbers(tmp_path / "eight.wav", 8), Faltering(10))


@pytest.fixture
def asked(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Request, int]]:
    """The requests that the Amazon Transcribe engine receives in this test, with the number of channels."""
    settings.TRANSCRIBE_ENGINES = ["scripted", "aws"]
    settings.AWS_REGION = "eu-west-1"
    asked: list[tuple[Request, int]] = []

    async def transcribe(self: AwsEngine, audio: Spool, request: Request) -> AsyncGenerator[Result, None]:
        asked.append((request, audio.channels))
        yield Result("Heard.", 0.0, 1.0, is_partial=False)

    monkeypatch.setattr(AwsEngine, "transcribe", transcribe)
    return asked


def test_command_parses_each_option_by_its_type(asked: list[tuple[Request, int]]) -> None:
    given = ["--option", "show_speaker_label", "--option", "vocabulary_name=surgery", "--language", "de-DE"]
    assert answer(tone(1.0), "--engine", "aws", *given) == ("Heard.\n", "")
    given = ["--option=identify_language=yes", "--option=language_options=en-US, de-DE"]
    answer(tone(1.0), "--engine", "aws", *given)
    answer(tone(1.0, channels=2), "--engine", "aws", "--option", "enable_channel_identification=on")
    assert asked == [
        (Request("de-DE", {"show_speaker_label": True, "vocabulary_name": "surgery"}), 1),
        (Request("", {"identify_language": True, "language_options": ["en-US", "de-DE"]}), 1),
        (Request("en-US", {"enable_channel_identification": True}), 2),
    ]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("show_speaker_label=maybe", "show_speaker_label must be on or off, not “maybe”."),
        (
            "partial_results_stability=rocky",
            "`partial_results_stability` can't be “rocky”. Choose one of: low, medium, high.",
        ),
        ("partial_results_stability=low", "“Stability” only applies together with “Faster live text”."),
        ("identify_language", "To detect the language, choose at least two likely languages."),
    ],
)
def test_command_reports_an_invalid_option_value(asked: list[tuple[Request, int]], given: str, sentence: str) -> None:
    with pytest.raises(CommandError) as caught:
        answer(tone(1.0), "--engine", "aws", "--option", given)
    assert str(caught.value) == sentence
    assert asked == []


def test_command_lists_the_options_after_an_unknown_one(asked: list[tuple[Request, int]]) -> None:
    with pytest.raises(CommandError, match=r"^The engine “Scripted” has no option “a”. It has no options.$"):
        answer(tone(1.0), "--option", "a=b")
    with pytest.raises(CommandError, match=r"has no option “a”. Choose one of: show_speaker_label, enable_channel_id"):
        answer(tone(1.0), "--engine", "aws", "--option", "a=b")


def test_command_refuses_separate_channels_for_a_mono_recording(asked: list[tuple[Request, int]]) -> None:
    path = tone(1.0)
    with pytest.raises(CommandError) as caught:
        answer(path, "--engine", "aws", "--option", "enable_channel_identification")
    assert str(caught.value).startswith(f"{path}: Channels can be transcribed separately only in a stereo recording")
    assert asked == []


def test_command_reports_the_missing_setting_of_an_engine(
    asked: list[tuple[Request, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AwsEngine, "missing", classmethod(lambda cls: "Set AWS_REGION."))
    with pytest.raises(CommandError, match=r"^Set AWS_REGION\.$"):
        answer(tone(1.0), "--engine", "aws")
