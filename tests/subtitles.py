"""Strict parsers of SubRip and WebVTT for tests. They fail on errors that lenient players would ignore."""

import html
import re
from typing import NamedTuple

TIME = re.compile(r"(\d\d+):([0-5]\d):([0-5]\d)[,.](\d\d\d)")


class Cue(NamedTuple):
    start: int  # milliseconds
    end: int
    lines: list[str]


def milliseconds(time: str) -> int:
    found = TIME.fullmatch(time)
    assert found, f"{time!r} is not a time"
    hours, minutes, seconds, rest = map(int, found.groups())
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + rest


def cue_of(times: str, lines: list[str], mark: str) -> Cue:
    start, end = times.split(" --> ")
    assert mark in start
    assert mark in end
    assert lines
    assert all(line.strip() for line in lines)
    assert "-->" not in "".join(lines) or mark == "."  # in WebVTT the text was escaped, and `lines` is unescaped
    cue = Cue(milliseconds(start), milliseconds(end), lines)
    assert cue.start < cue.end
    return cue


def read_srt(content: str) -> list[Cue]:
    """Parse SubRip: numbers from 1, times, lines of text, and an empty line between two captions."""
    if not content:
        return []
    assert content.endswith("\n")
    cues = []
    for number, block in enumerate(content[:-1].split("\n\n"), start=1):
        first, times, *lines = block.split("\n")
        assert first == str(number)
        cues.append(cue_of(times, lines, ","))
    return cues


def read_vtt(content: str) -> list[Cue]:
    """Parse WebVTT: a header, then cues without identifiers and with escaped text."""
    assert content.endswith("\n")
    header, *blocks = content[:-1].split("\n\n")
    assert header == "WEBVTT"
    cues = []
    for block in blocks:
        times, *lines = block.split("\n")
        markup = "\n".join(lines)
        assert re.fullmatch(r"(<v [^<>\n]+>)?([^<>&]|&(amp|lt|gt);)*", markup)
        assert "-->" not in markup
        cues.append(cue_of(times, html.unescape(re.sub(r"^<v [^>]+>", "", markup)).split("\n"), "."))
    return cues
