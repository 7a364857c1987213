"""A hundred thousand jobs of fifty people on PostgreSQL: the time and the number of queries of the pages with lists."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.rows import PAGES
from benchmarks.site import database, served
from tests.site import Site

PEOPLE = 50
JOBS = 100_000
LOADS = 40
QUICK = {"PEOPLE": 2, "JOBS": 200, "LOADS": 2}


def rows(site: Site, *arguments: str) -> str:
    environ = os.environ | site.environment | {"TRANSCRIBE_DATA_DIR": str(site.folder)}
    command = [sys.executable, "-m", "benchmarks.rows", *arguments]
    return subprocess.run(command, env=environ, check=True, stdout=subprocess.PIPE, text=True).stdout


def run() -> Iterator[tuple[str, str]]:
    with database() as url, served({"DATABASE_URL": url, "TRANSCRIBE_RUN_JOBS": "0"}) as (site, visitor):
        rows(site, "fill", "1", "10")
        few = json.loads(rows(site, "queries"))
        rows(site, "fill", str(PEOPLE), str(JOBS))
        many = json.loads(rows(site, "queries"))
        assert few == many, f"{few} queries with ten jobs, {many} with {JOBS}"
        for page in [*PAGES, f"/jobs/?page={JOBS // PEOPLE // 30}", "/jobs/?status=failed"]:
            loads = []
            for _ in range(LOADS):
                began = time.perf_counter()
                visitor.http.get(page).raise_for_status()
                loads.append(1000 * (time.perf_counter() - began))
            queries = f", {many[page]} queries, as with ten jobs" if page in many else ""
            yield f"{page}", f"median {statistics.median(loads):.0f} ms (at most 100){queries}"
