"""A running job for benchmarks of its viewers: its site with a Redis, who speaks in it, and who watches."""

import json
import math
import os
import re
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from benchmarks.site import served
from tests.servers import Redis
from tests.site import Site, free_port, wait_until
from tests.visitor import Visitor

OPEN_FILES = 8_192  # a socket is a file, for the server as for its viewers
IDLE_CPU_SECONDS = 0.05  # a second: looks into the database, pings


@dataclass
class Server:
    """Something that serves a job's socket. `has_snapshot` is false for peers, which send none."""

    pid: int
    origin: str
    path: str
    headers: dict[str, str]
    has_snapshot: bool = True


class Part:
    """A program of this package that says `ready`, goes on at a line of input, and prints what it found."""

    def __init__(self, environ: dict[str, str], module: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"benchmarks.{module}", *arguments],
            env=os.environ | environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_until_ready(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n", "a part of the benchmark did not start"

    def go_on(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def result(self) -> Any:
        """Return what it has printed at its end."""
        assert self._process.stdout is not None
        printed = self._process.stdout.read()
        assert self._process.wait() == 0
        return json.loads(printed)

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@dataclass
class Watched:
    """A site that runs no jobs, and a job there that seems to run: this benchmark sends its events."""

    site: Site
    visitor: Visitor
    redis: Redis
    job: UUID
    stack: ExitStack

    @property
    def environ(self) -> dict[str, str]:
        return self.site._environ()

    def server(self, site: Site | None = None) -> Server:
        site = site or self.site
        assert site.process is not None
        headers = {"Cookie": f"sessionid={self.visitor.http.cookies['sessionid']}"}
        return Server(site.process.pid, site.url, f"/ws/jobs/{self.job}/", headers)

    def uvicorn(self) -> Server:
        """Start the same site on uvicorn too."""
        site = replace(self.site, process=None)
        site.start_uvicorn()
        self.stack.callback(site.stop)
        return self.server(site)

    def peer(self, *command: str) -> Server:
        """Start a server that is not ours. `PORT` in its command is its port."""
        port = str(free_port())
        arguments = [port if part == "PORT" else part for part in command]
        process = self.stack.enter_context(
            subprocess.Popen([sys.executable, "-m", *arguments], env=os.environ | self.environ)
        )
        self.stack.callback(process.terminate)
        wait_until(lambda: answers(int(port)), 60, "the start of a peer")
        return Server(process.pid, f"http://127.0.0.1:{port}", f"/ws/jobs/{self.job.hex}/", {}, has_snapshot=False)

    def speaker(self, **speech: float) -> Part:
        speaker = Part(self.environ, "speaker", str(self.job), json.dumps(speech))
        self.stack.callback(speaker.end)
        speaker.wait_until_ready()
        return speaker

    def audience(self, server: Server, viewers: int, **plan: Any) -> Part:
        """Return so many viewers, who are joining."""
        told = {name: value for name, value in asdict(server).items() if name != "pid"}
        audience = Part({}, "audience", json.dumps(told | {"viewers": viewers} | plan))
        self.stack.callback(audience.end)
        return audience


@contextmanager
def watched(environ: dict[str, str] | None = None) -> Iterator[Watched]:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(OPEN_FILES, most), most))  # also of all that is started here
    with ExitStack() as stack:
        redis = Redis()
        redis.start()
        stack.callback(redis.kill)
        ours = {"REDIS_URL": redis.url, "TRANSCRIBE_RUN_JOBS": "0", "TRANSCRIBE_MAX_SOCKETS_A_PERSON": "0"}
        ours |= environ or {}
        site, visitor = stack.enter_context(served(ours))
        yield Watched(site, visitor, redis, running_job(visitor), stack)


def running_job(visitor: Visitor) -> UUID:
    """Return a job that seems to run: somebody else's worker has it."""
    environ = visitor.site._environ()
    subprocess.run([sys.executable, "-m", "benchmarks.rows", "fill", "1", "1", "running"], env=environ, check=True)
    found = re.search(r"/jobs/([0-9a-f-]{36})/", visitor.http.get("/jobs/").text)
    assert found is not None
    return UUID(found[1])


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def own_cpu_seconds(pid: int) -> float:
    """Return what a process has used itself, without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def wait_until_idle(pid: int, seconds: int = 20) -> None:
    """Return when a process has had nothing to do for a second, or after so many."""
    for _ in range(seconds):
        before = own_cpu_seconds(pid)
        time.sleep(1.0)
        if own_cpu_seconds(pid) - before < IDLE_CPU_SECONDS:
            return


def percentile(values: list[float], share: float) -> float:
    """Return the least value that so large a share of all does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
