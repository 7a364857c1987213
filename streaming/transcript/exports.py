"""Writes a job's segments as text, SRT, VTT or JSON. The job may still be running.

The download view, the archive of the admin and the command call it. Transcripts and file names are untrusted input, so
each format escapes its own markup.
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

# SRT has no escapes. Replace the characters of markup that players interpret (<b>, {\an8}, \N) by similar ones.
TAG = re.compile(r"<(?=\s*[a-z/!])([^<>]*)(>?)", re.IGNORECASE)
SIMILAR_CHARACTERS = str.maketrans({"{": "(", "}": ")", "\\": "∖"})  # noqa: RUF001
EXTENSION = re.compile(
    r"\.(?=\w*[a-z])\w{1,5}$", re.IGNORECASE | re.ASCII
)  # a file name's extension; does not match “No. 5”


def timestamp(seconds: float, decimal_mark: str) -> str:
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


def without_markup(text: str) -> str:
    """Return a caption's text without markup of SRT, and without `-->`, which would begin another caption."""
    text = TAG.sub(lambda tag: f"‹{tag[1]}{'›' if tag[2] else ''}", text.replace("-->", "→"))  # noqa: RUF001
    return text.translate(SIMILAR_CHARACTERS)


def srt(job: Job, segments: list[Segment]) -> str:
    blocks = []
    for number, cue in enumerate(cues(segments, names_speakers=True), start=1):
        body = without_markup("\n".join(cue.lines))
        blocks.append(f"{number}\n{timestamp(cue.start_time, ',')} --> {timestamp(cue.end_time, ',')}\n{body}\n")
    return "\n".join(blocks)


def vtt(job: Job, segments: list[Segment]) -> str:
    blocks = ["WEBVTT\n"]
    for cue in cues(segments):
        body = html.escape("\n".join(cue.lines), quote=False)  # & < > are markup in WebVTT
        if cue.speaker:
            body = f"<v {html.escape(cue.speaker, quote=False)}>{body}"
        blocks.append(f"{timestamp(cue.start_time, '.')} --> {timestamp(cue.end_time, '.')}\n{body}\n")
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
    """Return the transcript in the format `name` (a key of `FORMATS`), with its segments in order of time."""
    in_order = sorted(segments, key=lambda segment: (segment.start_time, segment.seq))
    return FORMATS[name].write(job, in_order)


def stem(job: Job) -> str:
    """Return the name of a job's recording without its file extension."""
    return filenames.cleaned(EXTENSION.sub("", job.upload.name)) or "transcript"


def file_name(job: Job, name: str) -> str:
    """Return the file name of a transcript: the recording's name with the format's extension."""
    return f"{stem(job)[:200]}{' (so far)' if job.is_active else ''}.{name}"


def response(job: Job, name: str) -> HttpResponse:
    """Return a transcript as a download in the format `name`. Queries the job's segments."""
    answer = HttpResponse(write(job, job.segments.all(), name), content_type=FORMATS[name].content_type)
    answer["Content-Disposition"] = content_disposition_header(True, file_name(job, name)) or "attachment"
    answer["Cache-Control"] = "private, no-cache"  # a running job's transcript still grows
    return answer
