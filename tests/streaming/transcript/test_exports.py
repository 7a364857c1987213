"""The export formats: their exact form, also with hostile transcripts and file names."""

import json
import re
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client
from hypothesis import given, strategies

from streaming.models import Job, Segment, Status
from streaming.results import spread_words
from streaming.transcript import exports
from tests.streaming.factories import make_job, make_segments, make_upload
from tests.subtitles import Cue, read_srt, read_vtt
from uploads.models import Upload

HOSTILE = [
    "an arrow --> like that of a time",
    "<script>alert(1)</script> & <b>bold</b> &amp; so on",
    "one\n\n2\n00:00:00,000 --> 00:00:09,000\nsmuggled",
    "\u2028 lines \r\n of \x85 every \x0b kind \t ",
    "family 👨‍👩‍👧 and ‮turned‬",
    "{\\an8} WEBVTT NOTE STYLE",
]
# Compare texts with the replaced markup characters turned back.
ALIKE = str.maketrans("‹›(){}∖\\", "<>()()//")  # noqa: RUF001


def transcript(
    *texts: str, name: str = "interview.wav", status: Status = Status.COMPLETED
) -> tuple[Job, list[Segment]]:
    """Return a job and its segments of two seconds each, all unsaved."""
    job = Job(upload=Upload(name=name), engine="scripted", language_code="en-US", status=status)
    return job, [segment(job, seq, text, 2.0 * seq - 2, 2.0 * seq) for seq, text in enumerate(texts, start=1)]


def segment(job: Job, seq: int, text: str, start_time: float, end_time: float, speaker: str = "") -> Segment:
    words = [word.as_dict() for word in spread_words(text, start_time, end_time)]
    return Segment(job=job, seq=seq, text=text, start_time=start_time, end_time=end_time, speaker=speaker, words=words)


def unspaced(text: str) -> str:
    return "".join(text.split())


def plain(text: str) -> str:
    """Return a text with markup replaced by the characters that an SRT file has instead."""
    text = text.replace("-->", "→").translate(str.maketrans("{}\\", "()∖"))  # noqa: RUF001
    return re.sub("<(?=[a-z/!])([^<>]*)(>?)", lambda tag: "‹" + tag[1] + "›" * len(tag[2]), text, flags=re.IGNORECASE)  # noqa: RUF001


def one_line(text: str) -> str:
    return " ".join(text.split())


# The four formats, whole


def test_txt_has_one_line_per_segment_in_order_of_time() -> None:
    job, segments = transcript("It was the best of times,", "it was the worst of times.")
    assert exports.write(job, reversed(segments), "txt") == "It was the best of times,\nit was the worst of times.\n"


def test_txt_names_a_speaker_at_each_change() -> None:
    job, _ = transcript()
    said = [("Ann", "Hello."), ("Ann", "How are you?"), ("Ben", "Fine."), ("", "(A door.)"), ("Ann", "Bye.")]
    segments = [segment(job, seq, text, seq, seq + 1, speaker) for seq, (speaker, text) in enumerate(said, start=1)]
    text = "Ann:\nHello.\nHow are you?\n\nBen:\nFine.\n\n(A door.)\n\nAnn:\nBye.\n"
    assert exports.write(job, segments, "txt") == text


def test_writes_srt_with_numbered_captions() -> None:
    job, segments = transcript("It was the best of times,", "it was the worst of times.")
    assert exports.write(job, segments, "srt") == (
        "1\n00:00:00,000 --> 00:00:02,000\nIt was the best of times,\n"
        "\n"
        "2\n00:00:02,000 --> 00:00:04,000\nit was the worst of times.\n"
    )


def test_writes_vtt_with_speakers_as_voices() -> None:
    job, _ = transcript()
    segments = [segment(job, 1, "Salt & pepper", 0, 1.5, "Ann <3"), segment(job, 2, "2 < 3", 1.5, 2.25)]
    assert exports.write(job, segments, "vtt") == (
        "WEBVTT\n"
        "\n"
        "00:00:00.000 --> 00:00:01.500\n<v Ann &lt;3>Salt &amp; pepper\n"
        "\n"
        "00:00:01.500 --> 00:00:02.250\n2 &lt; 3\n"
    )


def test_writes_json_with_the_job_and_every_word(alice: User) -> None:
    job = make_job(make_upload(alice, name="Interview 👋.wav"), engine="local")
    make_segments(job, ["Hello there"], speaker="Ann")
    content = json.loads(exports.write(job, job.segments.all(), "json"))
    assert content == {
        "name": "Interview 👋.wav",
        "job": {
            "id": str(job.pk),
            "upload": str(job.upload_id),
            "engine": "local",
            "language_code": "en-US",
            "status": "completed",
            "position": 1.0,
            "duration": 1.0,
            "failure_reason": "",
            "segments": 1,
            "can_retry": False,
            "took": job.took.total_seconds() if job.took else None,
            "created_at": job.created_at.isoformat(),
            "started_at": job.started_at.isoformat(),
            "finished_at": job.finished_at.isoformat(),
        },
        "segments": [
            {
                "seq": 1,
                "start_time": 0.0,
                "end_time": 2.0,
                "text": "Hello there",
                "speaker": "Ann",
                "words": [
                    {"text": "Hello", "start_time": 0.0, "end_time": 1.0},
                    {"text": "there", "start_time": 1.0, "end_time": 2.0},
                ],
            }
        ],
    }


@pytest.mark.parametrize(("name", "content"), [("txt", ""), ("srt", ""), ("vtt", "WEBVTT\n")])
def test_writes_an_empty_transcript_in_every_format(name: str, content: str) -> None:
    job, segments = transcript()
    assert exports.write(job, segments, name) == content


# Captions


def test_writes_caption_times_of_ten_hours_and_more() -> None:
    job, _ = transcript()
    late = [segment(job, 1, "Still here", 36_000.0, 36_001.9996), segment(job, 2, "and here", 359_999.0, 360_000.5)]
    assert read_srt(exports.write(job, late, "srt"))[0] == Cue(36_000_000, 36_002_000, ["Still here"])
    times = re.findall(r".* --> .*", exports.write(job, late, "vtt"))
    assert times == ["10:00:00.000 --> 10:00:02.000", "99:59:59.000 --> 100:00:00.500"]


@pytest.mark.parametrize("start", [0.0, 0.0015, 1.0005, 12.3456])
def test_every_caption_ends_after_it_begins(start: float) -> None:
    job, _ = transcript()
    for end in (start - 1, start, start + 0.0004):
        (cue,) = read_srt(exports.write(job, [segment(job, 1, "Oh", start, end)], "srt"))
        assert 0 < cue.end - cue.start <= 3


def test_splits_a_long_segment_into_readable_captions() -> None:
    job, _ = transcript()
    said = " ".join(f"word{number}" for number in range(100))
    cues = read_srt(exports.write(job, [segment(job, 1, said, 10.0, 60.0)], "srt"))
    assert " ".join(" ".join(cue.lines) for cue in cues) == said
    assert (cues[0].start, cues[-1].end) == (10_000, 60_000)
    assert [cue.end for cue in cues[:-1]] == [cue.start for cue in cues[1:]]
    for cue in cues:
        assert cue.end - cue.start <= 7_000
        assert len(cue.lines) <= 2
        assert all(len(line) <= 45 for line in cue.lines)


@pytest.mark.parametrize("read", [read_srt, read_vtt])
def test_exports_escape_markup_in_the_transcript(read: Callable[[str], list[Cue]]) -> None:
    job, segments = transcript(*HOSTILE, "", " \n ")
    name = "srt" if read is read_srt else "vtt"
    said = [" ".join(cue.lines) for cue in read(exports.write(job, segments, name))]
    expected = [one_line(text) for text in HOSTILE]
    assert said == ([plain(text) for text in expected] if name == "srt" else expected)


def test_exports_escape_markup_in_speaker_names() -> None:
    job, _ = transcript()
    segments = [segment(job, 1, "Hello.", 0, 1, "Ann>\n\n2\n00:00:00,000 --> 00:00:09,000")]
    (caption,) = read_srt(exports.write(job, segments, "srt"))
    assert " ".join(caption.lines) == "Ann> 2 00:00:00,000 → 00:00:09,000: Hello."
    (cue,) = read_vtt(exports.write(job, segments, "vtt"))
    assert cue.lines == ["Hello."]
    text = exports.write(job, segments, "txt")
    assert text == "Ann> 2 00:00:00,000 --> 00:00:09,000:\nHello.\n"


@given(strategies.lists(strategies.text(max_size=120), max_size=5))
def test_captions_contain_any_transcript_unchanged(texts: list[str]) -> None:
    job, segments = transcript(*texts)
    expected = unspaced("".join(texts))
    cues = read_vtt(exports.write(job, segments, "vtt"))
    assert unspaced("".join(line for cue in cues for line in cue.lines)) == expected
    captions = read_srt(exports.write(job, segments, "srt"))
    said = unspaced("".join(line for cue in captions for line in cue.lines)).translate(ALIKE)
    assert said == expected.replace("-->", "→").translate(ALIKE)
    assert all(len(cue.lines) <= 2 and all(len(line) <= 42 for line in cue.lines) for cue in [*cues, *captions])
    assert exports.write(job, segments, "txt") == "".join(f"{one_line(text)}\n" for text in texts)


# Names and answers


@pytest.mark.parametrize(
    ("recording", "file"),
    [
        ("interview.wav", "interview.srt"),
        ("Interview.final.MP3", "Interview.final.srt"),
        ("Interview No. 5", "Interview No. 5.srt"),
        ("Version 1.2", "Version 1.2.srt"),
        ("clip.3gp", "clip.srt"),
        ("../../etc/passwd", "-..-etc-passwd.srt"),
        (".wav", "transcript.srt"),
        ("...", "transcript.srt"),
        ("Grüße 👋.m4a", "Grüße 👋.srt"),
        ("two\r\nlines.wav", "two lines.srt"),
        ("x" * 251 + ".wav", "x" * 200 + ".srt"),
    ],
)
def test_exported_file_is_named_after_the_recording(recording: str, file: str) -> None:
    job, _ = transcript(name=recording)
    assert exports.file_name(job, "srt") == file


def test_file_name_of_a_running_job_says_so_far() -> None:
    job, _ = transcript(status=Status.RUNNING)
    assert exports.file_name(job, "txt") == "interview (so far).txt"


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("txt", "text/plain; charset=utf-8"),
        ("srt", "application/x-subrip; charset=utf-8"),
        ("vtt", "text/vtt; charset=utf-8"),
        ("json", "application/json"),
    ],
)
def test_export_is_served_as_an_attachment(
    alice: User, client_of: Callable[[User], Client], name: str, content_type: str
) -> None:
    job = make_job(make_upload(alice, name='Grüße "👋".wav'))
    make_segments(job, ["Grüße"])
    answer = client_of(alice).get(f"/jobs/{job.pk}/transcript.{name}")
    assert answer.status_code == 200
    assert answer.content.decode() == exports.write(job, job.segments.all(), name)
    assert answer["Content-Type"] == content_type
    quoted = f"attachment; filename*=utf-8''Gr%C3%BC%C3%9Fe%20%22%F0%9F%91%8B%22.{name}"
    assert answer["Content-Disposition"] == quoted
    assert answer["Cache-Control"] == "private, no-cache"


def test_channels_are_voices_if_no_speaker_is_named(alice: User) -> None:
    job = make_job(make_upload(alice))
    make_segments(job, ["Hello."], channel="ch_0")
    make_segments(job, ["Yes?"], channel="ch_1")
    assert exports.write(job, segments := [*job.segments.all()], "txt") == "Channel 1:\nHello.\n\nChannel 2:\nYes?\n"
    assert "<v Channel 2>Yes?" in exports.write(job, segments, "vtt")
