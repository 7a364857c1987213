"""A transcript as a file: text, SRT, VTT and JSON, made from the segments of a job, finished or not.

What was said and the names of files come from outside: each format escapes what it must.
"""

import html
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.http import HttpResponse
from django.utils.http import content_disposition_header

from streaming import events
from streaming.models import Job, Segment
from streaming.transcript.captions import cues
from streaming.transcript.typesetting import one_line
from uploads import filenames

# SRT cannot escape what players take for markup (<b>, {\an8}, \N): signs that look alike take its place.
TAG = re.compile(r"<(?=\s*[a-z/!])([^<>]*)(>?)", re.IGNORECASE)
LOOK_ALIKE = str.maketrans({"{": "(", "}": ")", "\\": "∖"})  # noqa: RUF001
ENDING = re.compile(r"\.(?=\w*[a-z])\w{1,5}$", re.IGNORECASE | re.ASCII)  # of a file's name; not that of “No. 5”


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


def unmarked(text: str) -> str:
    """Return a caption's text without what an SRT player would interpret, the beginning of another caption included."""
    text = TAG.sub(lambda tag: f"‹{tag[1]}{'›' if tag[2] else ''}", text.replace("-->", "→"))  # noqa: RUF001
    return text.translate(LOOK_ALIKE)


def srt(job: Job, segments: list[Segment]) -> str:
    blocks = []
    for number, cue in enumerate(cues(segments, names_speakers=True), start=1):
        said = unmarked("\n".join(cue.lines))
        blocks.append(f"{number}\n{clock(cue.start_time, ',')} --> {clock(cue.end_time, ',')}\n{said}\n")
    return "\n".join(blocks)


def vtt(job: Job, segments: list[Segment]) -> str:
    blocks = ["WEBVTT\n"]
    for cue in cues(segments):
        said = html.escape("\n".join(cue.lines), quote=False)  # & < > are markup in WebVTT
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
    return filenames.cleaned(ENDING.sub("", job.upload.name)) or "transcript"


def file_name(job: Job, name: str) -> str:
    """Return the name of a transcript's file: the recording's, with the format's ending."""
    return f"{stem(job)[:200]}{' (so far)' if job.is_active else ''}.{name}"


def response(job: Job, name: str) -> HttpResponse:
    answer = HttpResponse(write(job, job.segments.all(), name), content_type=FORMATS[name].content_type)
    answer["Content-Disposition"] = content_disposition_header(True, file_name(job, name)) or "attachment"
    answer["Cache-Control"] = "private, no-cache"  # of a running job there will be more
    return answer
