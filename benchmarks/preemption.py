"""Long jobs of one person hold both slots of a worker: the time that another person's job waits.

The figure in parentheses is that of the version before November 2026, in which it waited until a long job ended. The
engine of the tests runs the jobs in real time; preemption works in the same way with the built-in recogniser.
"""

import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from benchmarks.site import served
from tests.site import wait_until
from tests.streaming.conftest import numbers
from tests.visitor import rows

LONG_JOBS = 2
QUICK = {"LONG_JOBS": 1}  # there is a free slot, so nothing has to be preempted
ADD_PERSON = "from django.contrib.auth.models import User; print(User.objects.create_user('charlie').pk)"


def run() -> Iterator[tuple[str, str]]:
    environment = {"DJANGO_SETTINGS_MODULE": "tests.served", "TRANSCRIBE_MAX_JOBS": "2"}
    with tempfile.TemporaryDirectory() as folder, served(environment) as (site, visitor):
        person = int(site.manage("shell", "-v", "0", "-c", ADD_PERSON).stdout)
        upload = visitor.upload(numbers(Path(folder) / "numbers.wav", 750))

        def status(job: str) -> tuple[str, int]:
            return rows(site, f"select status, attempt from streaming_job where id = '{UUID(job).hex}'")[0]

        long = [visitor.start_scripted(upload, pace=1.0) for _ in range(LONG_JOBS)]
        wait_until(lambda: all(status(job)[0] == "running" for job in long), what="the start of the long jobs")
        began = time.perf_counter()
        waiting = visitor.start_scripted(upload, pace=1.0)
        with sqlite3.connect(site.folder / "db.sqlite3", timeout=20) as database:
            database.execute(f"update streaming_job set owner_id = {person} where id = '{UUID(waiting).hex}'")
        wait_until(lambda: status(waiting)[0] == "running", 120, "the start of the other person's job")
        waited = time.perf_counter() - began
        yield f"{LONG_JOBS} long jobs of one person: another person's job starts after", f"{waited:.1f} s (an hour)"
        yield "statuses of the long jobs then", ", ".join(sorted(status(job)[0] for job in long))
