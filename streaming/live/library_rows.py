"""Read the rows of live lists from the database, for many viewers at once. Called by `library_hub.py`."""

from collections.abc import Collection, Iterable, Iterator, Set
from dataclasses import dataclass, field
from uuid import UUID

from django.db.models import F, Q, Window
from django.db.models.functions import RowNumber

from streaming import events
from streaming.jobs import queue
from streaming.live.auth import current_user
from streaming.models import ACTIVE, Job, Segment, Status
from uploads.models import Upload

IDS_A_QUERY = 400  # SQLite allows 999 parameters per query, and the query of jobs uses each id twice
MOST_JOBS = 50  # jobs of one recording that are shown: the newest


@dataclass
class Rows:
    """Events about recordings and jobs, by id. `words` holds an event with the newest final of each running job."""

    uploads: dict[UUID, events.Event] = field(default_factory=dict)
    jobs: dict[UUID, events.Event] = field(default_factory=dict)
    jobs_of: dict[UUID, list[UUID]] = field(default_factory=dict)  # by recording
    words: dict[UUID, events.Event] = field(default_factory=dict)
    active: set[UUID] = field(default_factory=set)  # queued and running jobs


def chunks(ids: Iterable[UUID]) -> Iterator[list[UUID]]:
    """Split ids into lists of at most `IDS_A_QUERY`."""
    every = list(ids)
    for begin in range(0, len(every), IDS_A_QUERY):
        yield every[begin : begin + IDS_A_QUERY]


def read(ids: Collection[UUID]) -> Rows:
    """Return the recordings and jobs with these ids, and the newest jobs of these recordings.

    The number of queries grows with every `IDS_A_QUERY` ids, not with the rows.
    """
    rows = Rows()
    for some in chunks(ids):
        for upload in Upload.objects.filter(pk__in=some).only("name", "size", "duration", "created_at"):
            rows.uploads[upload.pk] = events.upload(upload)
        newest_first = Window(RowNumber(), partition_by=F("upload_id"), order_by=F("created_at").desc())
        of_uploads = Job.objects.filter(upload__in=some).annotate(place=newest_first).filter(place__lte=MOST_JOBS)
        _add(rows, of_uploads.order_by())
        _add(rows, Job.objects.filter(pk__in=set(some) - set(rows.uploads)).order_by())
    _finish(rows)
    return rows


def read_active(job_ids: Collection[UUID]) -> Rows:
    """Return only these jobs. The caller passes those that were active at the last poll: others rarely change."""
    rows = Rows()
    for some in chunks(job_ids):
        _add(rows, Job.objects.filter(pk__in=some).order_by())
    _finish(rows)
    return rows


def _add(rows: Rows, jobs: Iterable[Job]) -> None:
    for job in jobs:
        if job.pk in rows.jobs:
            continue
        rows.jobs[job.pk] = {"type": "job", "job": events.job_object(job)}
        rows.jobs_of.setdefault(job.upload_id, []).append(job.pk)
        if job.status in ACTIVE:
            rows.active.add(job.pk)


def _finish(rows: Rows) -> None:
    """Add the queue positions of queued jobs, and the newest final of running jobs."""
    queued = [pk for pk in rows.active if rows.jobs[pk]["job"]["status"] == Status.QUEUED]
    if queued:
        places = queue.places()
        for pk in queued:
            rows.jobs[pk] = {"type": "job", "job": events.queued(rows.jobs[pk]["job"], places)}
    for some in chunks(rows.active - set(queued)):
        newest = Segment.objects.filter(job__in=some, seq=F("job__segment_count")).order_by()
        for job_id, text in newest.values_list("job_id", "text"):
            rows.words[job_id] = {"type": "words", "job": str(job_id), "text": text}


def visible(session_key: str | None, ids: Set[UUID], job_ids: Set[UUID]) -> set[UUID] | None:
    """Return which of these recordings (or jobs) `ids`, and which `job_ids`, the person of a session may see.

    None if the session has ended.
    """
    user = current_user(session_key)
    if user is None:
        return None
    found: set[UUID] = set()
    for some in chunks(ids | job_ids):
        found.update(Upload.objects.visible_to(user).filter(pk__in=some).order_by().values_list("pk", flat=True))
        jobs = Job.objects.visible_to(user).filter(Q(pk__in=some) | Q(upload__in=some))
        found.update(jobs.order_by().values_list("pk", flat=True))
    return found
