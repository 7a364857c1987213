"""Faults that keep `manage.py serve` and `run_jobs` from starting, and their error messages."""

import shutil
import socket
import subprocess
from collections.abc import Callable

import pytest

from tests.site import Site, free_port


def refused(site: Site, command: str = "serve") -> str:
    """Run a command that must fail without a traceback, and return the last line of its error output."""
    with pytest.raises(subprocess.CalledProcessError) as ended:
        site.manage(command, timeout=150)
    assert "Traceback" not in ended.value.stderr
    return str(ended.value.stderr.splitlines()[-1])


@pytest.mark.parametrize("command", ["serve", "run_jobs"])
def test_serve_refuses_a_database_of_another_version(new_site: Callable[..., Site], command: str) -> None:
    site = new_site()
    (site.folder / "db.sqlite3").unlink()
    assert refused(site, command) == (
        "CommandError: The database is of another version: run `manage.py migrate` first (`make run` does)."
    )


@pytest.mark.parametrize("command", ["serve", "run_jobs"])
def test_serve_refuses_to_start_without_a_database(new_site: Callable[..., Site], command: str) -> None:
    site = new_site(DATABASE_URL=f"postgres://transcribe@127.0.0.1:{free_port()}/transcribe")
    assert refused(site, command).startswith("CommandError: The database does not answer: ")


def test_serve_refuses_to_start_without_collected_static_files(new_site: Callable[..., Site]) -> None:
    site = new_site()
    shutil.rmtree(site.folder / "static")
    assert refused(site) == (
        "CommandError: Static files are missing or of another version: "
        "run `manage.py collectstatic --noinput` first (`make run` does)."
    )


def test_serve_refuses_a_port_in_use(new_site: Callable[..., Site]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        sentence = refused(new_site(PORT=str(port)))
    assert sentence.startswith(f"CommandError: The site can't listen on 127.0.0.1:{port}: ")
    assert sentence.endswith("Address already in use.")
    assert not sentence.endswith("..")


def test_serve_refuses_an_invalid_setting(new_site: Callable[..., Site]) -> None:
    sentence = "TRANSCRIBE_MAX_JOBS='many': allowed is a number from 1 to 1000."
    assert refused(new_site(TRANSCRIBE_MAX_JOBS="many"), "check") == sentence
