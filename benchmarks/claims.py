"""Eight worker processes claim a queue of a thousand jobs on PostgreSQL: claims a second, and no job twice."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from benchmarks.site import database

JOBS = 1_000
WORKERS = 8
RUNS = 3
QUICK = {"JOBS": 20, "WORKERS": 2, "RUNS": 1}


def claim_all(environ: dict[str, str]) -> tuple[float, list[int]]:
    """Return the claims a second, and how many jobs each worker claimed."""
    command = [sys.executable, "-m", "benchmarks.rows"]
    subprocess.run([*command, "fill", "1", str(JOBS), "queued"], env=os.environ | environ, check=True)
    workers = [
        subprocess.Popen(
            [*command, "claim", f"worker-{number}"],
            env=os.environ | environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(WORKERS)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    began = time.perf_counter()
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("\n")
        worker.stdin.flush()
    claims = [json.loads(worker.communicate()[0]) for worker in workers]
    took = time.perf_counter() - began
    claimed = [job for claim in claims for job in claim]
    assert len(claimed) == len(set(claimed)) == JOBS, "a job was claimed twice, or not at all"
    return JOBS / took, [len(claim) for claim in claims]


def run() -> Iterator[tuple[str, str]]:
    with tempfile.TemporaryDirectory(prefix="transcribe-bench-") as folder, database() as url:
        # The claimed jobs are not run, so the leases must outlast the benchmark.
        environ = {"DATABASE_URL": url, "TRANSCRIBE_DATA_DIR": folder, "TRANSCRIBE_LEASE_SECONDS": "3600"}
        manage = [sys.executable, "manage.py"]
        subprocess.run([*manage, "migrate", "--verbosity", "0"], env=os.environ | environ, check=True)
        subprocess.run([*manage, "ensure_admin"], env=os.environ | environ, check=True, stdout=subprocess.DEVNULL)
        runs = sorted(claim_all(environ) for _ in range(RUNS))
    rate, shares = runs[RUNS // 2]
    yield f"{JOBS} jobs, {WORKERS} workers, median of {RUNS}", f"{rate:.0f} claims a second (at least 200)"
    yield "claimed twice", "none"
    yield "claims of one worker", f"{min(shares)} to {max(shares)} jobs"
