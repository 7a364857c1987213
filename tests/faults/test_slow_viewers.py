"""Viewers that read too little: the server bounds the data that waits for them, and other viewers are not slowed."""

import asyncio
import json
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from channels_redis.pubsub import RedisPubSubChannelLayer
from websockets.frames import Opcode

from streaming import events
from streaming.live.feed import MAX_UNREAD_CHARACTERS
from streaming.publisher import envelope, feed_group
from streaming.results import Result
from tests import recordings
from tests.faults.conftest import finished_job
from tests.faults.raw_clients import frame, message, opened
from tests.site import Site, wait_until
from tests.visitor import Visitor, change
from tests.visitor import events as messages

PARTIAL_CHARACTERS = 16_000
EVENTS_A_SECOND = 100
PATIENCE_SECONDS = 20.0  # less than the ping timeout, which would close the connection too
MESSAGES, MESSAGE_BYTES = 3000, 16 * 1024


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_a_viewer_that_never_reads_is_evicted_after_a_mebibyte_and_others_get_the_newest_partial(
    new_site: Callable[..., Site], redis_url: str, server: str
) -> None:
    site = new_site(REDIS_URL=redis_url, TRANSCRIBE_RUN_JOBS="0")
    site.start()
    with Visitor(site) as visitor:
        job = visitor.start(visitor.upload(recordings.speech("beckett")))
        change(site, "update streaming_job set status = 'running'")  # as if a worker had claimed it
        if server == "uvicorn":
            site.stop()
            site.start_uvicorn()
        with visitor.watch(job) as reader, never_reading(visitor, job) as idle:
            assert next(messages(reader))["type"] == "snapshot"
            wait_until(lambda: b"snapshot" in idle.recv(4096, socket.MSG_PEEK), what="the idle viewer's snapshot")
            ended = select.poll()
            ended.register(idle, select.POLLHUP | select.POLLERR | select.POLLRDHUP)
            count = 2 * MAX_UNREAD_CHARACTERS // PARTIAL_CHARACTERS
            publishing = threading.Thread(target=lambda: asyncio.run(publish(redis_url, UUID(job), count)))
            publishing.start()
            texts = (event for event in messages(reader) if event["type"] == "partial")
            assert next(event for event in texts if event["start_time"] == count)
            publishing.join()
            wait_until(lambda: ended.poll(0), PATIENCE_SECONDS, "the eviction of the idle viewer")
            assert cut(idle) < MAX_UNREAD_CHARACTERS, "less data than that waited for the idle viewer"


def test_a_client_that_sends_without_reading_is_not_read_until_it_reads_its_answers(
    visitor: Visitor, tmp_path: Path
) -> None:
    job = finished_job(visitor, tmp_path)
    with opened(visitor, f"/ws/jobs/{job}/", receive_bytes=4096) as eager:
        assert json.loads(message(eager)[1])["type"] == "snapshot"
        before = visitor.site.peak_mib()
        wrong = frame(bytes(MESSAGE_BYTES), Opcode.BINARY)  # wrong, because messages must be text
        sent = 0

        def send() -> None:
            nonlocal sent
            while sent < MESSAGES:
                eager.sendall(wrong)
                sent += 1

        sending = threading.Thread(target=send)
        sending.start()
        then = -1
        while sent != then:
            then = sent
            time.sleep(0.5)
        assert sent < MESSAGES, "the server should have stopped reading"
        assert visitor.site.peak_mib() - before < 10
        for _ in range(MESSAGES):
            assert json.loads(message(eager)[1])["type"] == "error"
        sending.join()


@contextmanager
def never_reading(visitor: Visitor, job: str) -> Iterator[socket.socket]:
    """Open a WebSocket to watch a job on a socket with the smallest possible receive buffer."""
    address = urlsplit(visitor.site.url)
    lines = (
        f"GET /ws/jobs/{job}/ HTTP/1.1",
        f"Host: {address.netloc}",
        f"Cookie: sessionid={visitor.http.cookies['sessionid']}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    )
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.settimeout(60)
        client.connect((address.hostname, address.port))
        client.sendall("\r\n".join([*lines, "", ""]).encode())
        yield client


def cut(idle: socket.socket) -> int:
    """Read a connection to its end and return the number of bytes."""
    count = 0
    try:
        while data := idle.recv(65536):
            count += len(data)
    except ConnectionError:
        pass  # the server reset the connection instead of waiting until the client reads
    return count


async def publish(redis_url: str, job: UUID, count: int) -> None:
    layer = RedisPubSubChannelLayer(hosts=[{"address": redis_url, "socket_timeout": None}])
    for number in range(1, count + 1):
        text = str(number % 10) * PARTIAL_CHARACTERS
        partial = events.partial(Result(text, float(number), float(number), is_partial=True))
        await layer.group_send(feed_group(job), envelope(job, 0, 0, partial))
        await asyncio.sleep(1 / EVENTS_A_SECOND)
    await layer.flush()
