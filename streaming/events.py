"""Build every message that the server sends to viewers. `docs/protocol.md` describes them."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from streaming.models import Job, Segment
from streaming.results import Result
from uploads import tracks
from uploads.models import Upload

Event = dict[str, Any]

SEGMENT = (
    ',"segment":'  # marks the segment in a final's text; can't occur inside a string, where its quotes would be escaped
)


def encode(event: Event) -> str:
    """Return an event as the JSON text that the socket sends."""
    try:
        return orjson.dumps(event).decode()
    except TypeError:
        # An error may quote a lone surrogate (\ud800), which UTF-8 can't encode. Replace it.
        return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode(errors="replace").decode()


def job_object(job: Job) -> dict[str, Any]:
    """Return a job as the protocol's object. No query."""
    return {
        "id": str(job.pk),
        "upload": str(job.upload_id),
        "engine": job.engine,
        "language_code": job.language_code,
        "status": job.status,
        "position": round(job.position, 3),
        "duration": round(job.duration, 3),
        "failure_reason": job.failure_reason,
        "segments": job.segment_count,
        "can_retry": job.is_retryable,
        "took": job.took.total_seconds() if job.took else None,
        "created_at": _moment(job.created_at),
        "started_at": _moment(job.started_at),
        "finished_at": _moment(job.finished_at),
        **({"track": tracks.as_json(job.track)} if job.track else {}),
    }


def upload(upload: Upload) -> Event:
    """Return the event of a live list about a recording."""
    return {
        "type": "upload",
        "upload": {
            "id": str(upload.pk),
            "name": upload.name,
            "size": upload.size,
            "duration": round(upload.duration, 3),
            "created_at": _moment(upload.created_at),
        },
    }


def queued(job: dict[str, Any], places: Mapping[UUID, int]) -> dict[str, Any]:
    """Return a job's object with its queue position, or unchanged if `places` does not have it."""
    place = places.get(UUID(job["id"]))
    return job | {"queue": {"place": place, "length": len(places)}} if place else job


class Row(NamedTuple):
    """The columns of a segment that are sent to viewers, as a row of the database."""

    seq: int
    slot: str
    start_time: float
    end_time: float
    text: str
    speaker: str
    channel: str
    language_code: str
    is_provisional: bool
    words: (
        Any  # a list, or an `orjson.Fragment` of the stored JSON, which avoids decoding and encoding thousands of words
    )


def segment_object(segment: Segment | Row) -> dict[str, Any]:
    """Return a stored final as the protocol's object."""
    return {
        "seq": segment.seq,
        "start_time": segment.start_time,
        "end_time": segment.end_time,
        "text": segment.text,
        **_known(speaker=segment.speaker, channel=segment.channel, language_code=segment.language_code),
        "words": segment.words,
        **({"is_provisional": True} if segment.is_provisional else {}),
    }


def snapshot(job: dict[str, Any], finals: Iterable[str], partials: Iterable[str], seq: int) -> str:
    """Return the text of a snapshot, the first message to a viewer.

    `finals` and `partials` are the texts of their events; `finals` are those after the number that the viewer asked
    for, and `seq` is the number of the last final.
    """
    segments = ",".join(text[text.index(SEGMENT) + len(SEGMENT) : -1] for text in finals)
    shown = f'"segments":[{segments}],"partials":[{",".join(partials)}],"seq":{seq}'
    return f'{{"type":"snapshot","job":{encode(job)},{shown}}}'


def partial(result: Result) -> Event:
    return {
        "type": "partial",
        "slot": result.slot,
        "start_time": result.start_time,
        "end_time": result.end_time,
        "text": result.text,
        **_known(speaker=result.speaker, channel=result.channel),
        **({"stable": result.stable} if result.stable else {}),
    }


def final(segment: Segment | Row) -> Event:
    return {"type": "final", "seq": segment.seq, "slot": segment.slot, "segment": segment_object(segment)}


def status(job: Job) -> Event:
    return {"type": "status", "job": job_object(job)}


def error(code: str, message: str) -> Event:
    return {"type": "error", "code": code, "message": message}


def job_deleted() -> Event:
    """Return the error that the viewers of a deleted job get."""
    return error("not_found", "This job was deleted.")


def _known(**fields: str) -> dict[str, str]:
    """Return the fields without empty ones: optional fields of the protocol are absent, not null."""
    return {name: value for name, value in fields.items() if value}


def _moment(value: datetime | None) -> str | None:
    return value.isoformat() if value else None
