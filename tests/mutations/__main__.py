"""`python -m tests.mutations [--check] [--document] [--processes N] [WORDS]`

Applies each mutation to a copy of the project, and runs the test of the mutation there. The test
must fail. With words, only the mutations whose fault, code or test contains one of them are tried.

1. Checks that the code and the test of every mutation are there. `--check` ends here; it takes a second.
2. Runs the tests without a mutation. They must pass, because a test that fails anyway proves nothing.
3. Tries the mutations, `--processes` at a time, and lists those that no test detected.

`--document` only writes the table of `docs/faults.md`.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.mutations import (
    access,
    amazon,
    amazon_network,
    databases,
    disks,
    files,
    load,
    operation,
    redis,
    requests,
    timeline,
    viewers,
    workers,
)
from tests.mutations.code import ROOT, NoMatch, mutate, node_id
from tests.mutations.mutation import Mutation

SUBJECTS = (
    viewers,
    requests,
    access,
    files,
    timeline,
    load,
    workers,
    redis,
    databases,
    disks,
    amazon,
    amazon_network,
    operation,
)
MUTATIONS = [mutation for subject in SUBJECTS for mutation in subject.MUTATIONS]
DOCUMENT = ROOT / "docs" / "faults.md"
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__", "node_modules", "var")
PASSED, FAILED = 0, 1  # pytest's exit codes; the others mean that it could not run the test


class Trial(NamedTuple):
    """A mutation, found in the code: the file that it changes, its text afterwards, and the test."""

    mutation: Mutation
    path: Path
    text: str
    test: str


@contextmanager
def copy_of(project: Path) -> Iterator[Path]:
    """Make a copy of the project, with the same virtual environment."""
    with tempfile.TemporaryDirectory(prefix="mutation-") as name:
        folder = Path(name)
        shutil.copytree(project, folder, ignore=NOT_COPIED, dirs_exist_ok=True)
        (folder / ".venv").symlink_to(sys.prefix)
        yield folder


def run_tests(folder: Path, *arguments: str, output: int | None = subprocess.DEVNULL) -> int:
    """Run tests in a copy of the project, and return pytest's exit code."""
    command = [sys.executable, "-m", "pytest", "--tb=short", *arguments]
    environ = os.environ | {"PYTHONPATH": str(folder)}
    return subprocess.run(command, cwd=folder, env=environ, stdout=output, stderr=output).returncode


def is_noticed(project: Path, trial: Trial) -> bool:
    """Return whether the test of a mutation fails because of it. Prints the answer."""
    started_at = time.monotonic()
    with copy_of(project) as folder:
        (folder / trial.path.relative_to(ROOT)).write_text(trial.text)
        code = run_tests(folder, "-x", trial.test)
    words = {FAILED: "fails as it should", PASSED: "PASSES"}.get(code, f"CANNOT RUN ({code})")
    print(f"{words} in {time.monotonic() - started_at:.0f} s: {trial.test} ({trial.mutation.fault})", flush=True)
    return code == FAILED


def try_all(trials: list[Trial], processes: int) -> int:
    """Run the tests without and with their mutations, and return the exit code."""
    with copy_of(ROOT) as project:  # a copy, because the checkout may change during the run
        print("The tests without a mutation:", flush=True)
        tests = sorted({trial.test for trial in trials})
        # Retry a test that failed, which a busy machine may cause: the whole run takes long.
        if all(run_tests(project, *again, *tests, output=None) != PASSED for again in ((), ("--last-failed",))):
            print("All these tests must pass without a mutation.")
            return 1
        with ThreadPoolExecutor(processes) as pool:
            noticed = list(pool.map(partial(is_noticed, project), trials))
    print(f"{sum(noticed)} of {len(trials)} mutations make their tests fail.")
    for trial, is_good in zip(trials, noticed, strict=True):
        if not is_good:
            print(f"Not noticed: {trial.mutation.fault}: {trial.test}")
    return 0 if all(noticed) else 1


def find(mutations: list[Mutation]) -> tuple[list[Trial], list[str]]:
    """Return the mutations whose code and test are there, and a sentence for each of the others."""
    trials, sentences = [], []
    for mutation in mutations:
        try:
            trials.append(Trial(mutation, *mutate(mutation), node_id(mutation)))
        except NoMatch as error:
            sentences.append(f"{mutation.fault}: {error}")
    return trials, sentences


def write_document() -> None:
    """Replace everything after the introduction of the document by a table for each subject."""
    introduction = DOCUMENT.read_text().partition("\n## ")[0]
    sections = []
    for subject in SUBJECTS:
        title = (subject.__doc__ or "").partition("\n")[0].removesuffix(".")
        rows = [
            f"| {each.fault} | `{each.of}` | `{node_id(each).removeprefix('tests/')}` |" for each in subject.MUTATIONS
        ]
        sections.append(
            "\n".join([f"\n## {title}\n", "| fault | code | its test, in `tests/` |", "|---|---|---|", *rows, ""])
        )
    DOCUMENT.write_text("\n".join([introduction.rstrip("\n"), *sections]))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description="Try mutations of the product.")
    parser.add_argument("words", nargs="*", help="only mutations whose fault, code or test contains one of these")
    parser.add_argument("--check", action="store_true", help="only check that their code and tests are there")
    parser.add_argument("--document", action="store_true", help="only write the table of docs/faults.md")
    parser.add_argument("--processes", type=int, default=1, help="how many mutations are tried at a time")
    given = parser.parse_args()
    trials, sentences = find(MUTATIONS)
    if sentences:
        print(*sentences, f"{len(sentences)} of {len(MUTATIONS)} mutations do not match.", sep="\n")
        return 1
    if given.document:
        write_document()
    if given.check or given.document:
        return 0
    words = given.words or [""]
    return try_all([trial for trial in trials if any(word in str(trial.mutation) for word in words)], given.processes)


if __name__ == "__main__":
    sys.exit(main())
