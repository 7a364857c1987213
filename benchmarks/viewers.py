"""Many viewers of one job, ten events a second over Redis: what a delivery costs the server, and how long it takes.

Ours on daphne and on uvicorn, next to a consumer on daphne that joins the group itself.
"""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
from channels_redis.pubsub import RedisPubSubChannelLayer
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.aws import cpu_seconds
from benchmarks.site import served
from streaming import events
from streaming.broadcast import envelope, feed_group
from streaming.transcripts import Result
from tests.servers import Redis
from tests.site import free_port, wait_until
from tests.visitor import Visitor

VIEWERS = (200, 500)
EVENTS, EVENTS_A_SECOND = 100, 10


@dataclass
class Server:
    pid: int
    origin: str
    path: str
    headers: dict[str, str]


@dataclass
class Delivered:
    cpu_us: float  # a delivery, of the server's process
    p99_ms: float


async def measure(server: Server, redis: Redis, job: UUID, viewers: int) -> Delivered:
    """Open so many sockets, publish, and return what it cost and took."""
    delays: list[float] = []

    async def watch(socket: ClientConnection) -> None:
        async for message in socket:
            event = json.loads(message)
            if event["type"] == "partial" and event["text"].startswith("at "):
                delays.append(time.monotonic() - float(event["text"][3:]))

    async with asyncio.timeout(120):
        sockets = []
        for _ in range(viewers):
            url = server.origin.replace("http", "ws", 1) + server.path
            origin: Any = server.origin
            sockets.append(await connect(url, additional_headers=server.headers, origin=origin, ping_interval=None))
        watching = [asyncio.create_task(watch(socket)) for socket in sockets]
        await asyncio.sleep(2.0)
        layer = RedisPubSubChannelLayer(hosts=[{"address": redis.url, "socket_timeout": None}])
        before, due = cpu_seconds(server.pid), time.monotonic()
        for number in range(EVENTS):
            due += 1 / EVENTS_A_SECOND
            await asyncio.sleep(due - time.monotonic())
            partial = events.partial(Result(f"at {time.monotonic()}", float(number), float(number), is_partial=True))
            await layer.group_send(feed_group(job), envelope(job, 0, 0, partial))
        await asyncio.sleep(2.0)
        used = cpu_seconds(server.pid) - before
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, *(socket.close() for socket in sockets), return_exceptions=True)
        await layer.flush()
    assert len(delays) > 0.9 * EVENTS * viewers, f"only {len(delays)} of {EVENTS * viewers} arrived"
    delays.sort()
    return Delivered(1e6 * used / len(delays), 1000 * delays[int(0.99 * len(delays))])


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def plain(environ: dict[str, str]) -> Iterator[tuple[int, str]]:
    port = free_port()
    command = [sys.executable, "-m", "daphne", "-p", str(port), "-v", "0", "benchmarks.plain:application"]
    with subprocess.Popen(command, env=os.environ | environ) as process:
        wait_until(lambda: answers(port), 60, "the start of the peer")
        yield process.pid, f"http://127.0.0.1:{port}"
        process.terminate()


def running_job(visitor: Visitor) -> UUID:
    """Return a job that seems to run: somebody else's worker has it, and this benchmark sends its events."""
    environ = visitor.site._environ()
    subprocess.run([sys.executable, "-m", "benchmarks.rows", "fill", "1", "1", "running"], env=environ, check=True)
    found = re.search(r"/jobs/([0-9a-f-]{36})/", visitor.http.get("/jobs/").text)
    assert found is not None
    return UUID(found[1])


def run() -> Iterator[tuple[str, str]]:
    redis = Redis()
    redis.start()
    with ExitStack() as stack:
        stack.callback(redis.kill)
        environ = {"REDIS_URL": redis.url, "TRANSCRIBE_RUN_JOBS": "0"}
        site, visitor = stack.enter_context(served(environ))
        job = running_job(visitor)
        headers = {"Cookie": f"sessionid={visitor.http.cookies['sessionid']}"}
        pid, peer = stack.enter_context(plain(site._environ()))
        for viewers in VIEWERS:
            in_group = Server(pid, peer, f"/ws/jobs/{job.hex}/", {})
            theirs = asyncio.run(measure(in_group, redis, job, viewers))
            yield f"{viewers} viewers, a consumer in the group", told(theirs)
            for name, start, goal in (("daphne", site.start, 4), ("uvicorn", site.start_uvicorn, 8)):
                site.stop()
                start()
                wait_until(lambda: httpx.get(f"{site.url}/healthz").status_code == 200, 30, "the server")
                assert site.process is not None
                server = Server(site.process.pid, site.url, f"/ws/jobs/{job}/", headers)
                ours = asyncio.run(measure(server, redis, job, viewers))
                cpu, p99 = theirs.cpu_us / ours.cpu_us, theirs.p99_ms / ours.p99_ms
                yield (
                    f"{viewers} viewers, ours on {name}",
                    f"{told(ours)}: 1/{cpu:.1f} of the CPU (at most 1/{goal}), 1/{p99:.1f} of the p99",
                )


def told(delivered: Delivered) -> str:
    return f"{delivered.cpu_us:.0f} µs a delivery, p99 {delivered.p99_ms:.0f} ms"
