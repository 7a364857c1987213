"""Runs the site in child processes for tests and benchmarks, as an administrator would run it."""

import os
import random
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
START_SECONDS = 60  # the limit for the start of a server, on a machine that is busy with other tests
PORTS = range(10_000, 32_768)  # below the ephemeral ports of Linux
_reserved: list[socket.socket] = []


def free_port() -> int:
    """Return a free TCP port. This process keeps the UDP port of that number, so no other test process chooses it."""
    while True:
        port = random.SystemRandom().choice(PORTS)
        twin = socket.socket(type=socket.SOCK_DGRAM)
        try:
            twin.bind(("127.0.0.1", port))
            with socket.socket() as free:
                free.bind(("127.0.0.1", port))
        except OSError:  # another process uses the port
            twin.close()
            continue
        _reserved.append(twin)
        return port


def wait_until(is_so: Callable[[], object], seconds: float = 60.0, what: str = "it") -> None:
    """Poll a condition until it holds; fail after `seconds`. For events in other processes, which can't be awaited."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"{what} did not happen within {seconds} s"
        time.sleep(0.02)


@dataclass
class Site:
    """A site with its own data folder. `process` is its server or worker; `url` is set when the server is running."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None
    url: str = ""

    def manage(self, *arguments: str, **options: object) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, str(ROOT / "manage.py"), *arguments]
        return subprocess.run(command, env=self._environ(), check=True, capture_output=True, text=True, **options)  # type: ignore[call-overload,no-any-return]

    def start(self, port: int | None = None, program: tuple[str, ...] = (str(ROOT / "manage.py"), "serve")) -> None:
        """Run `manage.py serve`, or `program`, and wait for the address that it prints.

        The server runs jobs too, unless the environment disables them.
        """
        self.process = self._spawn(*program, PORT=str(free_port() if port is None else port))
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"http://\S+?/", line)
        assert found, f"the site did not start: {line!r} {self.log()[-2000:]}"
        self.url = found[0].rstrip("/")

    def start_uvicorn(self, *application: str) -> None:
        """Run an ASGI application, by default the site's, with uvicorn, and wait until it accepts connections."""
        port = free_port()
        application = application or ("transcribe_site.asgi:application",)
        self.process = self._spawn("-m", "uvicorn", *application, "--port", str(port))
        self.url = f"http://127.0.0.1:{port}"

        def answers() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.log()[-2000:]
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        wait_until(answers, START_SECONDS, "the start of uvicorn")

    def start_worker(self) -> None:
        """Run `manage.py run_jobs`. `process` is then the worker."""
        self.process = self._spawn(str(ROOT / "manage.py"), "run_jobs")

    def _spawn(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        with open(self.folder / "log", "a") as log:
            return subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                env=self._environ() | environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def kill(self) -> None:
        """Kill the process with SIGKILL and reap it."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self._close()

    def stop(self) -> int:
        """Stop the process with SIGTERM and return its exit code."""
        assert self.process is not None
        self.process.terminate()
        code = self.process.wait(timeout=START_SECONDS)
        self._close()
        return code

    def _close(self) -> None:
        if self.process is not None and self.process.stdout is not None:
            self.process.stdout.close()

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def peak_mib(self) -> float:
        """Return the most memory that the process has ever had, in MiB."""
        assert self.process is not None
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

    def _environ(self) -> dict[str, str]:
        ours = {"TRANSCRIBE_DATA_DIR": str(self.folder), "DJANGO_SETTINGS_MODULE": "transcribe_site.settings"}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TRANSCRIBE_")}
        return kept | ours | {"TRANSCRIBE_ADMIN_PASSWORD": "wonderland"} | self.environment
