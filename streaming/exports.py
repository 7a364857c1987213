"""A transcript as a file: text, SRT, VTT and JSON, made from the segments of a job, finished or not.

What was said and the names of files come from outside: each format escapes what it must.
"""

import html
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from django.http import HttpResponse
from django.utils.http import content_disposition_header

from streaming import events
from streaming.models import Job, Segment
from uploads import names

# What a caption may hold to be read in its time: two lines of 42 characters, seven seconds.
CUE_CHARACTERS = 84
CUE_SECONDS = 7.0
LINE_CHARACTERS = 42
SHORTEST_SECONDS = 0.002  # a caption must end after it begins, rounded times too, or players leave it out
ENDING = re.compile(r"\.(?=\w*[a-z])\w{1,5}$", re.IGNORECASE | re.ASCII)  # of a file's name; not that of “No. 5”


class Cue(NamedTuple):
    start_time: float
    end_time: float
    text: str
    speaker: str


def one_line(text: str) -> str:
    """Return a text on one line: an empty one in it would end a caption, and what comes after be taken for another."""
    return " ".join(text.split())


def cues(segments: Iterable[Segment]) -> Iterator[Cue]:
    """Yield captions: a segment each, a long one cut between words into parts that can be read."""
    for segment in segments:
        for start_time, end_time, text in parts(segment):
            if said := one_line(text):
                end_time = max(end_time, start_time + SHORTEST_SECONDS)
                yield Cue(start_time, end_time, said, one_line(segment.voice))


def parts(segment: Segment) -> Iterator[tuple[float, float, str]]:
    words = segment.words
    is_short = len(segment.text) <= CUE_CHARACTERS and segment.end_time - segment.start_time <= CUE_SECONDS
    if is_short or not words:
        yield segment.start_time, segment.end_time, segment.text
        return
    begin, said = words[0]["start_time"], words[0]["text"]
    for before, word in pairwise(words):
        longer = f"{said} {word['text']}"
        if len(longer) > CUE_CHARACTERS or word["end_time"] - begin > CUE_SECONDS:
            yield begin, before["end_time"], said
            begin, said = word["start_time"], word["text"]
        else:
            said = longer
    yield begin, words[-1]["end_time"], said


def two_lines(text: str) -> str:
    """Return a caption's text on two lines of about the same length where it is too long for one."""
    if len(text) <= LINE_CHARACTERS:
        return text
    spaces = [index for index, character in enumerate(text) if character == " "]
    if not spaces:
        return text
    middle = min(spaces, key=lambda index: abs(index - len(text) / 2))
    return f"{text[:middle]}\n{text[middle + 1 :]}"


def clock(seconds: float, decimal_mark: str) -> str:
    milliseconds = round(seconds * 1000)
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{decimal_mark}{rest % 1000:03}"


def text(job: Job, segments: list[Segment]) -> str:
    lines: list[str] = []
    speaker = ""
    for segment in segments:
        if segment.voice != speaker:
            speaker = segment.voice
            lines += [""] * bool(lines) + [f"{one_line(speaker)}:"] * bool(speaker)
        lines.append(one_line(segment.text))
    return "".join(f"{line}\n" for line in lines)


def srt(job: Job, segments: list[Segment]) -> str:
    blocks = []
    for number, cue in enumerate(cues(segments), start=1):
        said = f"{cue.speaker}: {cue.text}" if cue.speaker else cue.text
        said = two_lines(said.replace("-->", "→"))  # an arrow of that form would begin another cue
        blocks.append(f"{number}\n{clock(cue.start_time, ',')} --> {clock(cue.end_time, ',')}\n{said}\n")
    return "\n".join(blocks)


def vtt(job: Job, segments: list[Segment]) -> str:
    blocks = ["WEBVTT\n"]
    for cue in cues(segments):
        said = html.escape(two_lines(cue.text), quote=False)  # & < > are markup in WebVTT
        if cue.speaker:
            said = f"<v {html.escape(cue.speaker, quote=False)}>{said}"
        blocks.append(f"{clock(cue.start_time, '.')} --> {clock(cue.end_time, '.')}\n{said}\n")
    return "\n".join(blocks)


def as_json(job: Job, segments: list[Segment]) -> str:
    content = {
        "name": job.upload.name,
        "job": events.job_object(job),
        "segments": [events.segment_object(segment) for segment in segments],
    }
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


@dataclass(frozen=True)
class Format:
    label: str
    content_type: str
    write: Callable[[Job, list[Segment]], str]


FORMATS = {
    "txt": Format("Text", "text/plain; charset=utf-8", text),
    "srt": Format("SRT", "application/x-subrip; charset=utf-8", srt),
    "vtt": Format("VTT", "text/vtt; charset=utf-8", vtt),
    "json": Format("JSON", "application/json", as_json),
}


def write(job: Job, segments: Iterable[Segment], name: str) -> str:
    """Return a transcript in the format of that name, segments in order of time."""
    in_order = sorted(segments, key=lambda segment: (segment.start_time, segment.seq))
    return FORMATS[name].write(job, in_order)


def stem(job: Job) -> str:
    """Return the name of a job's recording without the ending of a file."""
    return names.cleaned(ENDING.sub("", job.upload.name)) or "transcript"


def file_name(job: Job, name: str) -> str:
    """Return the name of a transcript's file: the recording's, with the format's ending."""
    return f"{stem(job)[:200]}{' (so far)' if job.is_active else ''}.{name}"


def response(job: Job, name: str) -> HttpResponse:
    answer = HttpResponse(write(job, job.segments.all(), name), content_type=FORMATS[name].content_type)
    answer["Content-Disposition"] = content_disposition_header(True, file_name(job, name)) or "attachment"
    answer["Cache-Control"] = "private, no-cache"  # of a running job there will be more
    return answer
