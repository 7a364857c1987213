"""Locked packages: each has a hash, and packages with overridden internals have the reviewed version."""

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from transcribe_site.versions import OVERRIDDEN

ROOT = Path(__file__).parents[2]
LOCK = ("requirements.txt", "requirements-dev.txt")


def locked(*names: str) -> dict[str, Requirement]:
    """Return the requirements of the files that apply to this machine, by package. Asserts that each has a hash."""
    found = {}
    for name in names:
        for block in re.split(r"\n(?=\S)", (ROOT / name).read_text()):
            if not block.startswith("#"):
                assert "--hash=sha256:" in block, block
                requirement = Requirement(block.split("--hash")[0].replace("\\", "").strip())
                if requirement.marker is None or requirement.marker.evaluate():
                    found[canonicalize_name(requirement.name)] = requirement
    return found


def needed(names: set[str]) -> set[str]:
    """Return `names` and every installed package that they require, directly or not."""
    seen: set[tuple[str, frozenset[str]]] = set()
    open_ends = [(Requirement(name).name, frozenset(Requirement(name).extras)) for name in names]
    while open_ends:
        name, extras = open_ends.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        for line in metadata.requires(name) or []:
            requirement = Requirement(line)
            applies = requirement.marker is None or any(
                requirement.marker.evaluate({"extra": extra}) for extra in {"", *extras}
            )
            if applies:
                open_ends.append((requirement.name, frozenset(requirement.extras)))
    return {canonicalize_name(name) for name, _ in seen}


def direct(name: str) -> set[str]:
    return {line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith(("-", "#"))}


@pytest.mark.parametrize(("source", "lock"), [("requirements.in", LOCK[:1]), ("requirements-dev.in", LOCK)])
def test_the_lock_file_pins_every_required_package(source: str, lock: tuple[str, ...]) -> None:
    pinned = locked(*lock)
    missing = needed(direct(source)) - set(pinned)
    assert missing == set()
    for line in direct(source):
        requirement = Requirement(line)
        assert str(pinned[canonicalize_name(requirement.name)].specifier) == str(requirement.specifier)


def test_the_installed_packages_are_those_of_the_lock() -> None:
    for name, requirement in locked(*LOCK).items():
        assert str(requirement.specifier) == f"=={metadata.version(name)}"


def test_the_versions_whose_internals_are_overridden_are_the_locked_ones() -> None:
    pinned = locked("requirements.txt")
    assert {name: str(pinned[canonicalize_name(name)].specifier) for name in OVERRIDDEN} == {
        name: f"=={version}" for name, version in OVERRIDDEN.items()
    }


def test_no_command_starts_with_another_version_of_an_overridden_package(tmp_path: Path) -> None:
    for name in OVERRIDDEN:
        # Newer releases, as after an install by hand. Python finds them before the pinned ones.
        information = tmp_path / f"{canonicalize_name(name).replace('-', '_')}-99.1.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 99.1\n")
    environ = os.environ | {"PYTHONPATH": str(tmp_path), "TRANSCRIBE_DATA_DIR": str(tmp_path / "var")}
    environ["DJANGO_SETTINGS_MODULE"] = "transcribe_site.settings"
    command = [sys.executable, str(ROOT / "manage.py"), "migrate", "--plan"]
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode != 0
    for name in OVERRIDDEN:
        assert f"Found {name} 99.1, but this version of the site overrides internals of {name}" in ended.stderr
