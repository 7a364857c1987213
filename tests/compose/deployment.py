"""Manages the test deployment: a copy of this checkout made under umask 077, and a Compose project of its own."""

import os
import pty
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from tests.site import ROOT, free_port

PROJECT = "transcribe-compose-test"
COMMAND_SECONDS = 1800  # the limit of a command: a build on a slow machine takes long


class NoEngine(Exception):
    """Compose can't reach a Docker engine."""


def absolute(word: str) -> str:
    """Return a path as an absolute path, and the name of a program unchanged."""
    return str(Path(word).resolve()) if "/" in word and Path(word).exists() else word


def docker_of(compose: list[str]) -> list[str]:
    """Return the command for `docker` that belongs to a command for `docker compose`."""
    if Path(compose[-1]).name != "compose":
        return ["docker"]  # the command is `docker-compose`, or it has options after `compose`
    before = compose[:-1]
    return before if Path(before[-1]).name == "docker" else [*before, "docker"]


class Deployment:
    """Runs shell commands in the copy of the checkout.

    In them `docker` and `docker compose` use the given command and this test's project.
    """

    def __init__(self, compose: str) -> None:
        words = [absolute(word) for word in shlex.split(compose)]
        words[0] = shutil.which(words[0]) or words[0]
        # The copy is inside the checkout, because some engines can't mount other folders of this machine.
        (ROOT / "var").mkdir(exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix="compose-test-", dir=ROOT / "var"))
        self.http_port, self.https_port = free_port(), free_port()
        programs = self.folder / ".programs"
        programs.mkdir()
        program = programs / "docker"
        program.write_text(
            "#!/bin/sh\n"
            f'if [ "$1" = compose ]; then shift; exec {shlex.join(words)} --project-name {PROJECT} "$@"; fi\n'
            f'exec {shlex.join(docker_of(words))} "$@"\n'
        )
        program.chmod(0o755)
        # Environment variables of this shell must not override the .env file of the copy.
        ours = ("TRANSCRIBE_", "COMPOSE_", "AWS_", "SITE_", "POSTGRES_", "HTTP_PORT", "HTTPS_PORT")
        ours += ("SECRET_KEY", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS")
        self._environ = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        self._environ["PATH"] = f"{programs}:{os.environ['PATH']}"

    def copy_checkout(self) -> None:
        """Copy the checkout as `git clone` under umask 077 would, and the override file, which is not in git."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
        names = [name for name in listed.stdout.split("\0") if name] + ["docker-compose.override.yml"]
        before = os.umask(0o077)
        try:
            for name in names:
                if (ROOT / name).is_file():
                    target = self.folder / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes((ROOT / name).read_bytes())
        finally:
            os.umask(before)

    def run(self, script: str, *, is_checked: bool = True) -> str:
        """Run shell commands in the copy, up to the first that fails, and return their output.

        Raises AssertionError for a failure unless `is_checked` is false.
        """
        print(*(f"  $ {line}" for line in script.strip().splitlines()), sep="\n", flush=True)
        ran = subprocess.run(
            ["sh", "-eu", "-c", script],
            cwd=self.folder,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_SECONDS,
        )
        if is_checked and ran.returncode != 0:
            raise AssertionError(f"a command failed with {ran.returncode}: {script.strip()}\n{ran.stdout[-5000:]}")
        return ran.stdout

    def type_into(self, script: str, lines: list[str]) -> str:
        """Run a command in a terminal, type one line at each of its prompts, and return the terminal's output."""
        print(f"  $ {script.strip()}", flush=True)
        ours, theirs = pty.openpty()
        shown = ""
        process = subprocess.Popen(
            ["sh", "-eu", "-c", script], cwd=self.folder, env=self._environ, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        timer = threading.Timer(300, process.kill)
        timer.start()
        try:
            while True:
                try:
                    data = os.read(ours, 4096)
                except OSError:  # Linux raises EIO when the other end is closed
                    break
                if not data:
                    break
                shown += data.decode(errors="replace")
                if lines and shown.rstrip().endswith(":"):
                    time.sleep(0.2)  # the program prints the prompt before it disables the terminal's echo
                    os.write(ours, lines.pop(0).encode() + b"\n")
                    shown += "\n"
        finally:
            timer.cancel()
            os.close(ours)
        assert process.wait() == 0, shown
        return shown

    def check_engine(self) -> None:
        """Raise `NoEngine` with the error message if Compose or Docker can't reach an engine."""
        asked = subprocess.run(
            ["sh", "-c", "docker compose ls >/dev/null && docker version >/dev/null"],
            cwd=self.folder,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if asked.returncode != 0:
            raise NoEngine(next(iter(asked.stderr.strip().splitlines()), f"status {asked.returncode}"))

    def remove(self) -> None:
        """Remove the containers, volumes, networks and image of this project, and the copy."""
        if (self.folder / "docker-compose.yml").exists():
            if not (self.folder / ".env").exists():
                (self.folder / ".env").write_text("SECRET_KEY=unused\nPOSTGRES_PASSWORD=unused\n")
            self.run("docker compose down --volumes --remove-orphans", is_checked=False)
            self.run(f"docker image rm {PROJECT}-site", is_checked=False)
        shutil.rmtree(self.folder, ignore_errors=True)
