"""Runs the commands of docs/operations.md for set-up, back-up and restore by hand, exactly as they are written."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import recordings
from tests.docs.document import commands
from tests.postgres import Postgres, programs
from tests.site import ROOT, Site, free_port
from tests.visitor import Visitor

BY_HAND = "By hand: two web processes and two workers"
CODE = ("manage.py", "static", "streaming", "templates", "transcribe_site", "uploads")
FROM_THE_NETWORK = re.compile(r"^(python3 -m venv|\.venv/bin/pip install) .*\n", re.MULTILINE)


class ByHand:
    """A clone in a folder. Runs commands of the document there, as an administrator would."""

    def __init__(self, folder: Path, postgres: Postgres, redis_url: str) -> None:
        self.folder = folder
        for name in CODE:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, folder / name)
        (folder / ".venv").symlink_to(sys.prefix)
        self._redis_url = redis_url
        self._port = postgres.port
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TRANSCRIBE_", "DJANGO_"))}
        for name in ("SECRET_KEY", "DATABASE_URL", "REDIS_URL"):
            kept.pop(name, None)
        administrator = {"PGHOST": "127.0.0.1", "PGPORT": str(postgres.port), "PGUSER": "postgres"}
        self.environ = (
            kept
            | administrator
            | {
                "PATH": f"{programs() / 'bin'}:{os.environ['PATH']}",
                "TRANSCRIBE_ADMIN_PASSWORD": "wonderland",
            }
        )

    def run(self, script: str, typed: str = "") -> str:
        """Run a block of the document with the addresses of the tests' servers; it must succeed. Returns its output."""
        script = FROM_THE_NETWORK.sub("", script).replace(":PASSWORD@", ":secret@")
        script = script.replace("127.0.0.1:5432", f"127.0.0.1:{self._port}")
        script = script.replace("redis://127.0.0.1:6379/0", self._redis_url)
        ran = subprocess.run(
            ["sh", "-eu", "-c", script],
            cwd=self.folder,
            env=self.environ,
            input=typed,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # without a terminal, commands read passwords from `typed`
        )
        assert ran.returncode == 0, ran.stdout
        return ran.stdout

    @contextmanager
    def served(self) -> Iterator[Visitor]:
        process = subprocess.Popen(
            [".venv/bin/python", "manage.py", "serve"],
            cwd=self.folder,
            env=self.environ | {"PORT": str(free_port())},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+?(?=/ )", process.stdout.readline())
            assert found
            with Visitor(Site(self.folder, url=found[0])) as visitor:
                yield visitor
        finally:
            process.terminate()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def test_the_documented_commands_restore_recordings(tmp_path: Path, postgres: Postgres, redis_url: str) -> None:
    clone = ByHand(tmp_path, postgres, redis_url)
    create, install = commands(BY_HAND)[:2]
    back_up, restore = commands("Back up and restore by hand")
    clone.run(create, typed="secret\nsecret\n")
    clone.run(install)
    with clone.served() as visitor:
        paths = [recordings.speech(name) for name in recordings.SPEECH] + [recordings.tone(1.0 + n) for n in range(4)]
        kept = {visitor.upload(path): path.read_bytes() for path in paths}
        job = visitor.start(next(iter(kept)))
    clone.run(back_up)

    clone.run("dropdb --force transcribe")
    shutil.rmtree(tmp_path / "var")
    (tmp_path / ".env").unlink()
    clone.run(create.splitlines()[1])
    clone.run(restore)
    with clone.served() as visitor:
        assert len(kept) == 7
        assert {upload: visitor.http.get(f"/uploads/{upload}/audio/").content for upload in kept} == kept
        assert visitor.http.get(f"/jobs/{job}/").status_code == 200
    clone.run("dropdb --force transcribe && dropuser transcribe")
