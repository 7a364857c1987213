"""Captions have at most two lines of 42 columns in any script, as independent parsers read them."""

# ruff: noqa: RUF001 — signs that look alike are what SRT files have in place of markup

import io
import unicodedata
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

import av
import pysubs2
import pytest
import webvtt

from streaming.models import Job, Segment, Status
from streaming.transcript import exports, typesetting
from streaming.transcript.typesetting import breaks, is_inside_cluster
from uploads.models import Upload


class Cue(NamedTuple):
    start: float
    end: float
    lines: list[str]


def by_pysubs2(content: str) -> Iterator[Cue]:
    for event in pysubs2.SSAFile.from_string(content, format_="srt"):
        yield Cue(event.start / 1000, event.end / 1000, event.plaintext.split("\n"))


def timestamp(text: str) -> float:
    hours, minutes, seconds = text.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def by_webvtt(content: str) -> Iterator[Cue]:
    for caption in webvtt.from_string(content):
        start, end = (timestamp(time) for time in (caption.start, caption.end))
        yield Cue(start, end, caption.text.split("\n"))


def by_ffmpeg(content: str) -> Iterator[Cue]:
    """Reads captions with FFmpeg, which converts each format into the text of an ASS event."""
    with av.open(io.BytesIO(content.encode()), format="webvtt" if content.startswith("WEBVTT") else "srt") as container:
        for packet in container.demux():
            for subtitle in packet.decode():
                start = float(packet.pts * packet.time_base)
                text = subtitle.ass.decode().split(",", 8)[8]
                assert "{\\" not in text  # markup
                yield Cue(start, start + float(packet.duration * packet.time_base), text.split("\\N"))


READERS = [("srt", by_pysubs2), ("srt", by_ffmpeg), ("vtt", by_webvtt), ("vtt", by_ffmpeg)]
reads = pytest.mark.parametrize(("name", "read"), READERS)
Read = Callable[[str], Iterator[Cue]]

CHINESE = "那是最美好的时代，那是最糟糕的时代；那是智慧的年头，那是愚昧的年头；那是信仰的时期，那是怀疑的时期。" * 3
JAPANESE = "それは最良の時代であり、最悪の時代でもあった。知恵の時代であり、愚かさの時代でもあった。" * 3
THAI = "มันเป็นช่วงเวลาที่ดีที่สุดมันเป็นช่วงเวลาที่เลวร้ายที่สุดมันเป็นยุคแห่งปัญญามันเป็นยุคแห่งความโง่เขลา"
KOREAN = "그것은 최고의 시절이었고 최악의 시절이었으며 지혜의 시대였고 어리석음의 시대였다 " * 3
ENGLISH = "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of " * 2
TEXTS = {
    "chinese": CHINESE,
    "japanese": JAPANESE,
    "thai": THAI * 3,
    "korean": KOREAN,
    "english": ENGLISH,
    "arabic": "كان أفضل الأوقات وكان أسوأ الأوقات وكان عصر الحكمة وكان عصر الحماقة " * 3,
    "one long word": "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 3,
    "an address": "See https://example.org/" + "a" * 120 + " for more, and more, and more of it.",
    "emoji": "👩‍👩‍👧‍👦🇩🇪🇫🇷👍🏽" * 20,
    "accents": "e\u0301" * 150,
    "more accents than a line has columns": "e" + "\u0301" * 100,
    "wide and narrow": "版本 2.0 のリリースノート ABC " * 8,
}
texts = pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())


def columns(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in line)


def unspaced(text: str) -> str:
    return "".join(text.split())


def written(name: str, *segments: Segment) -> str:
    job = Job(upload=Upload(name="a.wav"), engine="scripted", language_code="en-US", status=Status.COMPLETED)
    return exports.write(job, segments, name)


def end_of(text: str, words: list[tuple[str, float, float]] | None = None) -> float:
    return words[-1][2] if words else 10 + columns(text) / 8


def segment(text: str, words: list[tuple[str, float, float]] | None = None, speaker: str = "") -> Segment:
    """Return a segment that starts at 10 s. Without words it takes an eighth of a second per column."""
    objects = [{"text": said, "start_time": start, "end_time": end} for said, start, end in words or []]
    return Segment(seq=1, text=text, start_time=10.0, end_time=end_of(text, words), words=objects, speaker=speaker)


def check_form(cues: list[Cue], end_time: float) -> None:
    for cue in cues:
        assert 1 <= len(cue.lines) <= 2
        assert all(columns(line) <= 42 for line in cue.lines), cue
        assert 0 < cue.end - cue.start <= 7.0
    assert [cue.start for cue in cues] == sorted(cue.start for cue in cues)
    assert all(before.end <= after.start + 0.001 for before, after in pairwise(cues))
    assert (cues[0].start, cues[-1].end) == (10.0, pytest.approx(end_time, abs=0.001))


@reads
@texts
def test_captions_of_a_segment_without_words_have_at_most_42_columns(name: str, read: Read, text: str) -> None:
    cues = list(read(written(name, segment(text))))
    check_form(cues, end_of(text))
    assert unspaced("".join(line for cue in cues for line in cue.lines)) == unspaced(text)


@reads
@texts
def test_captions_of_fast_speech_have_at_most_42_columns(name: str, read: Read, text: str) -> None:
    """The time would allow one caption for the whole text."""
    cues = list(read(written(name, Segment(seq=1, text=text, start_time=10.0, end_time=16.0, words=[]))))
    check_form(cues, 16.0)
    assert unspaced("".join(line for cue in cues for line in cue.lines)) == unspaced(text)


@reads
@texts
@pytest.mark.parametrize(
    "speaker", ["Ann", "Dr Maximiliane-Alexandra von und zu Hohenstein-Wittgenberg", "主持人" * 10]
)
def test_a_speaker_name_counts_towards_the_42_columns(name: str, read: Read, text: str, speaker: str) -> None:
    cues = list(read(written(name, segment(text, speaker=speaker))))
    check_form(cues, end_of(text))
    if name == "srt":
        assert all(cue.lines[0].startswith(speaker[:10]) for cue in cues)


@reads
def test_captions_without_spaces_are_split_between_words_at_their_times(name: str, read: Read) -> None:
    thai = ["มัน", "เป็น", "ช่วงเวลา", "ที่", "ดี", "ที่สุด"] * 12
    words = [(word, 10 + place * 60 / 72, 10 + (place + 1) * 60 / 72) for place, word in enumerate(thai)]
    cues = list(read(written(name, segment("".join(thai), words))))
    check_form(cues, 70.0)
    assert "".join(line for cue in cues for line in cue.lines) == "".join(thai)  # no space was added
    said = ["".join(cue.lines) for cue in cues]
    place = 0
    for cue, text in zip(cues, said, strict=True):
        begin = place
        while "".join(thai[begin:place]) != text:
            place += 1
            assert place <= len(thai), "a word was cut"
        assert (cue.start, cue.end) == pytest.approx((words[begin][1], words[place - 1][2]), abs=0.002)


@reads
def test_captions_add_no_spaces_between_single_character_words(name: str, read: Read) -> None:
    letters = [letter for letter in CHINESE if letter.isalnum()]
    step = 60 / len(letters)
    words = [(letter, 10 + place * step, 10 + (place + 1) * step) for place, letter in enumerate(letters)]
    cues = list(read(written(name, segment(CHINESE, words))))
    check_form(cues, 70.0)
    assert "".join(line for cue in cues for line in cue.lines) == CHINESE
    assert not any(line[0] in "，；。" for cue in cues for line in cue.lines)


@reads
def test_words_missing_from_the_text_lose_no_caption(name: str, read: Read) -> None:
    words = [("It", 11.0, 11.5), ("was", 11.5, 12.0), ("redacted", 12.0, 13.0), ("best", 13.0, 40.0)]
    cues = list(read(written(name, segment(ENGLISH, words))))
    check_form(cues, 40.0)
    assert " ".join(line for cue in cues for line in cue.lines) == ENGLISH.strip()


@reads
def test_no_caption_is_shown_during_a_pause(name: str, read: Read) -> None:
    words = [("Hello", 10.0, 10.5), ("there", 11.0, 11.5), ("Again", 60.0, 61.0), ("then", 61.5, 70.0)]
    cues = list(read(written(name, segment("Hello there. Again, then", words))))
    assert [tuple(cue) for cue in cues] == [
        (10.0, 11.5, ["Hello there."]),
        (60.0, 61.0, ["Again,"]),
        (61.5, 70.0, ["then"]),
    ]


@reads
def test_a_very_short_last_caption_does_not_end_after_the_recording(name: str, read: Read) -> None:
    last = Segment(seq=1, text="Oh.", start_time=20.0, end_time=20.0, words=[])
    (cue,) = read(written(name, last))
    assert cue == Cue(19.998, 20.0, ["Oh."])


MARKUP = [
    ("a <b>bold</b> word", "a ‹b›bold‹/b› word"),
    ("a< b and c >d", "a‹ b and c ›d"),
    ("<font color=red>x", "‹font color=red›x"),
    ("{\\an8}top", "(∖an8)top"),
    ("C:\\new", "C:∖new"),
    ("{y:i} {b}sides{/b}", "(y:i) (b)sides(/b)"),
    ("1 --> 2", "1 → 2"),
    ("<i>unclosed and <u", "‹i›unclosed and ‹u"),
    ("<!-- hidden -->", "‹!-- hidden →"),
]


@pytest.mark.parametrize("read", [by_pysubs2, by_ffmpeg])
@pytest.mark.parametrize(("said", "shown"), MARKUP)
def test_srt_shows_markup_as_text(read: Read, said: str, shown: str) -> None:
    (cue,) = read(written("srt", segment(said, [(said, 10.0, 11.0)])))
    assert cue.lines == [shown]


@pytest.mark.parametrize("read", [by_pysubs2, by_ffmpeg])
def test_srt_keeps_harmless_characters(read: Read) -> None:
    said = "2 < 3 & 4 > 1; <3; AT&T"
    (cue,) = read(written("srt", segment(said, [(said, 10.0, 11.0)])))
    assert cue.lines == [said]


def test_captions_never_split_a_visible_character() -> None:
    for text in ("👩‍👩‍👧‍👦" * 30, "🇩🇪🇫🇷" * 30, "👍🏽" * 50, "e\u0301" * 90, "กำ" * 60):
        places = breaks(text, [])
        assert len(places) > 2
        assert not any(is_inside_cluster(text, place) for place in places[1:-1])


@pytest.mark.parametrize("part", ["a\u0301", "\u0e01", "\u200d", "\u6f22", "\U0001f1e6"], ids=ascii)
def test_splitting_a_long_text_without_spaces_takes_linear_time(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []

    def columns(text: str) -> int:
        measured.append(len(text))
        return len(text)

    monkeypatch.setattr(typesetting, "columns", columns)
    text = part * (8400 // len(part))
    breaks(text, [])
    assert sum(measured) < 100 * len(text)
