"""Runs a site of many processes on one machine: web processes, workers, Redis, a database, a mock of Amazon's service.

Its methods cause faults: they kill, stop, freeze and restart processes.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers import Redis
from tests.site import Site, free_port
from tests.standin.process import standin

RATE = "10"  # seconds of audio a second
LEASE_SECONDS = 3


@dataclass
class Cluster:
    """A site whose processes, `webs` and `workers`, share a folder, a database and Redis.

    Without Redis it has a single web process, which runs the jobs too.
    """

    folder: Path
    redis: Redis | None
    service: dict[str, str]  # the environment variables with the address of the mock service
    database_url: str
    webs: list[Site] = field(default_factory=list)
    workers: list[Site] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)

    def process(self, *, runs_jobs: bool) -> Site:
        """Return a process of the site without starting it."""
        environment = {
            **self.service,
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis.url if self.redis else "",
            "TRANSCRIBE_ENGINE": "aws",
            "TRANSCRIBE_AWS_PACE": RATE,
            "TRANSCRIBE_AWS_MAX_STREAMS": "20",
            "TRANSCRIBE_LEASE_SECONDS": str(LEASE_SECONDS),
            "TRANSCRIBE_MAX_JOBS": "4",
            "TRANSCRIBE_RUN_JOBS": "1" if runs_jobs else "0",
        }
        return Site(self.folder, environment)

    def start_web(self, index: int) -> None:
        self.webs[index].start(port=self.ports[index])

    # Faults

    def kill_worker(self, index: int) -> None:
        """Kill a worker with SIGKILL and start another one in its place."""
        self.workers[index].kill()
        self.workers[index].start_worker()

    def kill_web(self, index: int) -> None:
        self.webs[index].kill()
        self.start_web(index)

    def stop_worker(self, index: int) -> None:
        """Stop a worker with SIGTERM, as at an upgrade, and start another one in its place."""
        # A worker that is still starting has no signal handler and no jobs to release, so the signal ends it.
        stop(self.workers[index], 0, -signal.SIGTERM)
        self.workers[index].start_worker()

    def stop_web(self, index: int) -> None:
        stop(self.webs[index], 0)
        self.start_web(index)

    def freeze(self, site: Site) -> None:
        """Freeze a process for longer than its lease, then resume it."""
        assert site.process is not None
        site.process.send_signal(signal.SIGSTOP)
        time.sleep(LEASE_SECONDS * 1.5)
        site.process.send_signal(signal.SIGCONT)

    def restart_redis(self, seconds: float) -> None:
        assert self.redis is not None
        self.redis.kill()
        time.sleep(seconds)
        self.redis.start()


@contextmanager
def cluster(folder: Path, database_url: str, *, webs: int, workers: int) -> Iterator[Cluster]:
    """Start a site, and end its processes afterwards. Without workers its web process runs the jobs, without Redis."""
    with ExitStack() as stack:
        environ = stack.enter_context(standin("--rate", RATE, "--quota", "25"))
        redis = None
        if workers:
            redis = Redis()
            redis.start()
            stack.callback(redis.kill)
        made = Cluster(folder, redis, environ, database_url)
        first = made.process(runs_jobs=False)
        first.manage("migrate", "--verbosity", "0")
        first.manage("collectstatic", "--noinput", "--verbosity", "0")
        first.manage("ensure_admin")
        for sites, count, runs_jobs in ((made.webs, webs, not workers), (made.workers, workers, True)):
            for _ in range(count):
                sites.append(made.process(runs_jobs=runs_jobs))
                stack.callback(end, sites[-1])
        made.ports = [free_port() for _ in made.webs]
        for index in range(webs):
            made.start_web(index)
        for worker in made.workers:
            worker.start_worker()
        yield made


def stop(site: Site, *good: int) -> None:
    """Stop a process with SIGTERM and assert that its exit code is one of `good`."""
    code = site.stop()
    assert code in good, f"the process exited with {code}:\n{site.log()[-3000:]}"


def end(site: Site) -> None:
    """Kill a process, even a frozen one."""
    if site.process is not None and site.process.poll() is None:
        site.process.send_signal(signal.SIGCONT)
        site.kill()
