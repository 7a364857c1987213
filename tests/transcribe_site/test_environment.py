"""The settings: values that stop the start, and equal variables in the README, `.env.example` and the code."""

import fcntl
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
from django.core.exceptions import ImproperlyConfigured

from transcribe_site import environment
from transcribe_site.settings import kept_secret_key, usable
from transcribe_site.variables import VARIABLES

ROOT = Path(__file__).parents[2]


def test_defaults_are_what_their_own_parsers_allow() -> None:
    values = environment.read({})
    assert values["PORT"] == 8000
    assert values["DEBUG"] is False
    assert values["ALLOWED_HOSTS"] == ["localhost", "127.0.0.1", "[::1]"]
    assert values["TRANSCRIBE_LEASE_SECONDS"] == 20


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("PORT", "eighty", "a number from 0 to 65535"),
        ("PORT", "65536", "a number from 0 to 65535"),
        ("DEBUG", "maybe", "0 or 1"),
        ("REDIS_URL", "localhost:6379", "redis://…"),
        ("DATABASE_URL", "mysql://localhost/x", "postgres://…"),
        ("CSRF_TRUSTED_ORIGINS", "example.org", "with their scheme"),
        ("TRANSCRIBE_ENGINE", "psychic", "local"),
        ("TRANSCRIBE_MAX_JOBS", "0", "a number from 1 to 1000"),
        ("TRANSCRIBE_LEASE_SECONDS", "", "a number from 1 to 3600"),
    ],
)
def test_an_invalid_value_stops_the_start_with_its_name_value_and_the_allowed_values(
    name: str, value: str, allowed: str
) -> None:
    with pytest.raises(ImproperlyConfigured) as stopped:
        environment.read({name: value})
    assert str(stopped.value).startswith(f"{name}={value!r}: allowed is ")
    assert allowed in str(stopped.value)


def test_the_message_about_an_invalid_url_hides_its_password() -> None:
    with pytest.raises(ImproperlyConfigured) as stopped:
        environment.read({"DATABASE_URL": "mysql://transcribe:wonderland@localhost/x"})
    assert str(stopped.value).startswith("DATABASE_URL='mysql://…@localhost/x': allowed is ")


@pytest.mark.parametrize("password", ["won@der/land#1", "wonder/land#1@", "wonder?land/#", "won:der/land"])
def test_an_unencoded_password_in_a_url_stops_the_start_and_is_hidden(password: str) -> None:
    with pytest.raises(ImproperlyConfigured) as stopped:
        environment.read({"DATABASE_URL": f"postgres://transcribe:{password}@localhost/x"})
    assert str(stopped.value).startswith("DATABASE_URL='postgres://…@localhost/x': allowed is ")
    assert "%40" in str(stopped.value)
    environment.read({"DATABASE_URL": f"postgres://transcribe:{quote(password, safe='')}@localhost/x"})
    environment.read({"DATABASE_URL": "sqlite:////srv/talks@home/db.sqlite3"})


def test_a_misspelt_setting_stops_the_start() -> None:
    with pytest.raises(ImproperlyConfigured, match="TRANSCRIBE_MAX_JOB='3': there is no such setting") as stopped:
        environment.read({"TRANSCRIBE_MAX_JOB": "3"})
    assert "TRANSCRIBE_MAX_JOBS" in str(stopped.value)


def test_variables_of_other_programs_are_ignored() -> None:
    environment.read({"PATH": "/bin", "AWS_REGION": "eu-central-1"})


def test_the_example_file_has_every_setting_with_its_default() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert given == {variable.name: variable.default for variable in VARIABLES}


def test_the_readme_has_every_setting_with_its_default() -> None:
    rows = re.findall(r"^\| `([A-Z0-9_]+)` \| (.*?) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    given = {name: default.strip("`") if default != "empty" else "" for name, default in rows}
    assert given == {variable.name: variable.default for variable in VARIABLES}


def test_the_secret_key_is_created_once_and_readable_only_by_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "secret_key"
    key = kept_secret_key(path)
    assert len(key) >= 50
    assert kept_secret_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_data_folder_is_accessible_only_to_its_owner(tmp_path: Path) -> None:
    folder = usable(tmp_path / "new" / "data")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert usable(folder) == folder


def test_a_data_folder_that_cannot_be_one_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "inside"):
        with pytest.raises(ImproperlyConfigured, match="can't be written"):
            usable(folder)


def test_an_empty_secret_key_file_gets_a_key(tmp_path: Path) -> None:
    """A full disk leaves such a file."""
    (tmp_path / "secret_key").touch()
    assert len(kept_secret_key(tmp_path / "secret_key")) >= 50


def test_two_processes_that_start_at_once_use_one_secret_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as threads:
        with open(tmp_path / "secret_key", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            reading = threads.submit(kept_secret_key, tmp_path / "secret_key")
            with pytest.raises(TimeoutError):
                reading.result(timeout=0.2)
            file.write("another's")
        assert reading.result() == "another's"
