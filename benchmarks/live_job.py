"""A running job for benchmarks of viewers: a site with a Redis, a source of the job's events, and its viewers."""

import json
import math
import os
import re
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any
from uuid import UUID

from benchmarks.site import served
from tests.servers import Redis
from tests.site import Site, free_port, wait_until
from tests.visitor import Visitor

OPEN_FILES = 8_192  # the server and the viewers need one for each socket


@dataclass
class Server:
    """A server of the job's socket. `has_snapshot` is false for peers, which send none."""

    pid: int
    origin: str
    path: str
    headers: dict[str, str]
    has_snapshot: bool = True


class Program:
    """A program of this package. It prints `ready`, waits for a line of input, and prints its figures as JSON."""

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
        assert self._process.stdout.readline() == "ready\n", "a program of the benchmark did not start"

    def proceed(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def result(self) -> Any:
        """Return the figures that it prints at its end."""
        assert self._process.stdout is not None
        printed = self._process.stdout.read()
        assert self._process.wait() == 0
        return json.loads(printed)

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@dataclass
class LiveJob:
    """A site that runs no jobs, and a job there with the status “running”, whose events the benchmark sends."""

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
        """Start a server that is not ours. `PORT` in its command stands for a free port."""
        port = str(free_port())
        arguments = [port if part == "PORT" else part for part in command]
        process = self.stack.enter_context(
            subprocess.Popen([sys.executable, "-m", *arguments], env=os.environ | self.environ)
        )
        self.stack.callback(process.terminate)
        wait_until(lambda: answers(int(port)), 60, "the start of a peer")
        return Server(process.pid, f"http://127.0.0.1:{port}", f"/ws/jobs/{self.job.hex}/", {}, has_snapshot=False)

    def event_source(self, **schedule: float) -> Program:
        source = Program(self.environ, "event_source", str(self.job), json.dumps(schedule))
        self.stack.callback(source.end)
        source.wait_until_ready()
        return source

    def viewers(self, server: Server, viewers: int, **plan: Any) -> Program:
        """Return a program in which so many viewers are joining."""
        target = {name: value for name, value in asdict(server).items() if name != "pid"}
        clients = Program({}, "viewer_clients", json.dumps(target | {"viewers": viewers} | plan))
        self.stack.callback(clients.end)
        return clients


@contextmanager
def live_job(environ: dict[str, str] | None = None) -> Iterator[LiveJob]:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(OPEN_FILES, most), most))  # child processes inherit it
    with ExitStack() as stack:
        redis = Redis()
        redis.start()
        stack.callback(redis.kill)
        ours = {"REDIS_URL": redis.url, "TRANSCRIBE_RUN_JOBS": "0", "TRANSCRIBE_MAX_SOCKETS_A_PERSON": "0"}
        ours |= environ or {}
        site, visitor = stack.enter_context(served(ours))
        yield LiveJob(site, visitor, redis, running_job(visitor), stack)


def running_job(visitor: Visitor) -> UUID:
    """Return the id of a job with the status “running” that no worker runs."""
    environ = visitor.site._environ()
    subprocess.run([sys.executable, "-m", "benchmarks.rows", "fill", "1", "1", "running"], env=environ, check=True)
    found = re.search(r"/jobs/([0-9a-f-]{36})/", visitor.http.get("/jobs/").text)
    assert found is not None
    return UUID(found[1])


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def percentile(values: list[float], share: float) -> float:
    """Return the least value that the given share of the values does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
