"""`python -m tests.faults.mutate [WORDS]`: take each check out, in a copy of the project, and see its test fail.

With words, only the proofs whose fault or test holds one of them. Says at the end which tests would pass either way.
With `--list` it tries nothing, and prints the table of `docs/faults.md`.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.faults import proofs_of_files, proofs_of_security, proofs_of_webs, proofs_of_workers
from tests.faults.proof import Proof

ROOT = Path(__file__).parents[2]
LISTS = (proofs_of_webs, proofs_of_security, proofs_of_files, proofs_of_workers)
PROOFS = [proof for each in LISTS for proof in each.PROOFS]
KEPT = ("manage.py", "pyproject.toml", "static", "streaming", "templates", "tests", "transcribe_site", "uploads")
FAILED = 1  # what pytest ends with when tests ran and failed, and not for a name or an import that is wrong


def mutate(proof: Proof, folder: Path) -> None:
    """Make a copy of the project in which the check is taken out. Raises ValueError where it does not stand once."""
    for name in KEPT:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    path = folder / proof.file
    text = path.read_text()
    if text.count(proof.check) != 1:
        raise ValueError(f"{proof.file} holds {text.count(proof.check)} times: {proof.check}")
    path.write_text(text.replace(proof.check, proof.without))


def fails(proof: Proof) -> bool:
    """Whether the test fails without the check."""
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        mutate(proof, Path(folder))
        command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", proof.test]
        environ = os.environ | {"PYTHONPATH": folder}
        return subprocess.run(command, cwd=folder, env=environ, capture_output=True).returncode == FAILED


def table() -> str:
    """Return all proofs as a table in Markdown."""
    rows = [f"| {proof.fault} | `{proof.test.removeprefix('tests/')}` | `{proof.file}` |" for proof in PROOFS]
    return "\n".join(["| fault | its test, in `tests/` | what the test watches |", "|---|---|---|", *rows, ""])


def main() -> None:
    words = sys.argv[1:]
    if words == ["--list"]:
        print(table(), end="")
        return
    chosen = [proof for proof in PROOFS if not words or any(word in f"{proof.fault} {proof.test}" for word in words)]
    alive = []
    for proof in chosen:
        failed = fails(proof)
        print(f"{'fails' if failed else 'PASSES'} without its check: {proof.test} ({proof.fault})", flush=True)
        if not failed:
            alive.append(proof.test)
    print(f"{len(chosen) - len(alive)} of {len(chosen)} tests fail without their check")
    sys.exit(bool(alive))


if __name__ == "__main__":
    main()
