"""`python -m tests.mutations [--check] [--document] [--processes N] [WORDS]`

Changes the product as each mutation says, in a copy of the project, and runs the test of the mutation there. The test
must fail. With words, only the mutations whose fault, code or test contains one of them are tried.

1. Checks that the code and the test of every mutation are there. `--check` ends here; it takes a second.
2. Runs the tests without a mutation. They must pass, because a test that fails anyway proves nothing.
3. Tries the mutations, `--processes` at a time, and lists those that no test noticed.

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
from pathlib import Path

from tests.mutations import access, amazon, databases, disks, files, redis, requests, viewers, workers
from tests.mutations.code import ROOT, NoMatch, mutate, node_id
from tests.mutations.mutation import Mutation

SUBJECTS = (viewers, requests, access, files, workers, redis, databases, disks, amazon)
MUTATIONS = [mutation for subject in SUBJECTS for mutation in subject.MUTATIONS]
DOCUMENT = ROOT / "docs" / "faults.md"
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__", "node_modules", "var")
PASSED, FAILED = 0, 1  # pytest's exit codes; the others mean that it could not run the test


@contextmanager
def copy_of_project() -> Iterator[Path]:
    """Make a copy of the project, with the same virtual environment."""
    with tempfile.TemporaryDirectory(prefix="mutation-") as name:
        folder = Path(name)
        shutil.copytree(ROOT, folder, ignore=NOT_COPIED, dirs_exist_ok=True)
        (folder / ".venv").symlink_to(sys.prefix)
        yield folder


def run_tests(folder: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    """Run tests in a copy of the project."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--tb=short", *tests]
    environ = os.environ | {"PYTHONPATH": str(folder)}
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)


def is_noticed(mutation: Mutation) -> bool:
    """Whether the test of a mutation fails because of it. Prints the answer."""
    started_at = time.monotonic()
    path, text = mutate(mutation)
    with copy_of_project() as folder:
        (folder / path.relative_to(ROOT)).write_text(text)
        done = run_tests(folder, "-x", node_id(mutation))
    words = {FAILED: "fails as it should", PASSED: "PASSES"}.get(done.returncode, f"CANNOT RUN ({done.returncode})")
    print(f"{words} in {time.monotonic() - started_at:.0f} s: {mutation.fails} ({mutation.fault})", flush=True)
    return done.returncode == FAILED


def missing(mutations: list[Mutation]) -> list[str]:
    """Return a sentence for each mutation whose code or test is missing."""
    sentences = []
    for mutation in mutations:
        for find in (mutate, node_id):
            try:
                find(mutation)
            except NoMatch as error:
                sentences.append(f"{mutation.fault}: {error}")
    return sentences


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
    if sentences := missing(MUTATIONS):
        print(*sentences, f"{len(sentences)} of {len(MUTATIONS)} mutations do not match.", sep="\n")
        return 1
    if given.document:
        write_document()
    if given.check or given.document:
        return 0
    chosen = [
        each
        for each in MUTATIONS
        if not given.words or any(word in f"{each.fault} {each.of} {each.fails}" for word in given.words)
    ]
    with copy_of_project() as folder:
        done = run_tests(folder, *sorted({node_id(each) for each in chosen}))
    if done.returncode != PASSED:
        print(done.stdout, "Without a mutation all these tests must pass.", sep="\n")
        return 1
    with ThreadPoolExecutor(given.processes) as pool:
        noticed = list(pool.map(is_noticed, chosen))
    print(f"{sum(noticed)} of {len(chosen)} mutations make their tests fail.")
    for mutation in (each for each, is_good in zip(chosen, noticed, strict=True) if not is_good):
        print(f"Not noticed: {mutation.fault}: {mutation.fails}")
    return 0 if all(noticed) else 1


if __name__ == "__main__":
    sys.exit(main())
