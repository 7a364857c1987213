"""Runs every benchmark once with tiny sizes, to check that it works. Its figures mean nothing then."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.site import ROOT

NAMES = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py") if "\ndef run(" in path.read_text())

pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_runs_to_its_end_and_prints_figures(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--quick", name]
    # Benchmarks use the site's own settings, not those of the tests.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TRANSCRIBE_", "DJANGO_"))}
    environment = kept | {"TRANSCRIBE_DATA_DIR": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    table = done.stdout.partition(f"## {name}\n")[2]
    figures = [line for line in table.splitlines() if line.startswith("| ") and not line.startswith("| figure")]
    assert figures, done.stdout
    assert "Traceback" not in done.stderr, done.stderr
