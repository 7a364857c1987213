"""Work of benchmarks in a site's database, in a process of its own: `python -m benchmarks.rows fill 50 1000`.

`fill PEOPLE JOBS [STATUS]` adds jobs, two for each recording. `claim NAME` claims jobs until there are none, and prints
them. `queries` prints how many queries the first account's pages run. `finals JOB COUNT` adds finals to a job.
"""

import json
import os
import sys
from itertools import islice
from uuid import UUID

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "transcribe_site.settings")
django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402

from streaming.jobs import queue  # noqa: E402
from streaming.models import Job, Segment  # noqa: E402
from streaming.results import Result, Word  # noqa: E402
from uploads.models import Upload  # noqa: E402

PAGES = ("/jobs/", "/")
BATCH = 2_000
JOBS_OF_UPLOAD = 2


def fill(people: int, count: int, status: str = "completed") -> None:
    """Add jobs of the first account and others, in turns."""
    made = [User.objects.get_or_create(username=f"person-{number}")[0] for number in range(people - 1)]
    owners = [User.objects.get(username="admin"), *made]
    facts = {"size": 1, "sha256": "0" * 64, "container": "wav", "codec": "pcm_s16le", "sample_rate": 16_000}
    for begin in range(0, count, BATCH):
        batch = min(BATCH, count - begin)
        uploads = [
            Upload(
                owner=owners[(begin + number) // JOBS_OF_UPLOAD % people],
                name=f"recording {begin + number}.wav",
                file=f"uploads/{begin + number}",
                duration=60.0,
                channels=1,
                peaks=os.urandom(1000),
                **facts,
            )
            for number in range(0, batch, JOBS_OF_UPLOAD)
        ]
        Upload.objects.bulk_create(uploads)
        Job.objects.bulk_create(
            Job(
                upload=uploads[number // JOBS_OF_UPLOAD],
                owner_id=uploads[number // JOBS_OF_UPLOAD].owner_id,
                engine="local",
                language_code="en-US",
                status=status,
                duration=60.0,
            )
            for number in range(batch)
        )


def add_finals(job_id: str, count: int) -> None:
    """Add finals of twelve words and five seconds, as the engine for Amazon Transcribe stores them."""
    words = ["and", "then", "she", "said", "that", "the", "whole", "thing", "had", "been", "quite", "unexpected"]
    Segment.objects.bulk_create(
        (
            Segment.of(
                UUID(job_id),
                seq,
                Result(
                    " ".join(words),
                    5.0 * seq,
                    5.0 * seq + 4.8,
                    is_partial=False,
                    words=tuple(
                        Word(word, round(5.0 * seq + 0.4 * place, 3), round(5.0 * seq + 0.4 * place + 0.38, 3), 0.9871)
                        for place, word in enumerate(words)
                    ),
                ),
            )
            for seq in range(1, count + 1)
        ),
        BATCH,
    )
    Job.objects.filter(pk=job_id).update(segment_count=count, word_count=count * len(words))


def claim(worker: str) -> None:
    """Print `ready`; after a line of input claim all jobs, as many at a time as a worker, and print their ids."""
    connection.ensure_connection()
    print("ready", flush=True)
    sys.stdin.readline()
    claimed = []
    while batch := list(islice(queue.claims(worker), settings.TRANSCRIBE_MAX_JOBS)):
        claimed += [str(job.pk) for job in batch]
    print(json.dumps(claimed))


def queries() -> None:
    client = Client(SERVER_NAME="localhost")
    client.force_login(User.objects.get(username="admin"))
    counts = {}
    for page in PAGES:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(page).status_code == 200
        counts[page] = len(captured)
    print(json.dumps(counts))


def main() -> None:
    match sys.argv[1:]:
        case ["fill", people, count, *status]:
            fill(int(people), int(count), *status)
        case ["claim", worker]:
            claim(worker)
        case ["finals", job_id, count]:
            add_finals(job_id, int(count))
        case ["queries"]:
            queries()


if __name__ == "__main__":
    main()
