"""Viewers who read too little: what waits for them is bounded, and nobody else notices."""

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
from tests.transcribe_site.server.test_daphne import peak_mib
from tests.visitor import Visitor, change
from tests.visitor import events as messages

PARTIAL_CHARACTERS = 16_000
EVENTS_A_SECOND = 100
PATIENCE_SECONDS = 20.0  # less than until a ping that is not answered ends a connection
MESSAGES, MESSAGE_BYTES = 3000, 16 * 1024


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_who_never_reads_is_cut_after_a_mebibyte_and_the_others_get_what_is_newest(
    new_site: Callable[..., Site], redis_url: str, server: str
) -> None:
    site = new_site(REDIS_URL=redis_url, TRANSCRIBE_RUN_JOBS="0")
    site.start()
    with Visitor(site) as visitor:
        job = visitor.start(visitor.upload(recordings.speech("beckett")))
        change(site, "update streaming_job set status = 'running'")  # as if a worker had it
        if server == "uvicorn":
            site.stop()
            site.start_uvicorn()
        with visitor.watch(job) as reader, deaf(visitor, job) as idle:
            assert next(messages(reader))["type"] == "snapshot"
            wait_until(lambda: b"snapshot" in idle.recv(4096, socket.MSG_PEEK), what="that it watches")
            ended = select.poll()
            ended.register(idle, select.POLLHUP | select.POLLERR | select.POLLRDHUP)
            count = 2 * MAX_UNREAD_CHARACTERS // PARTIAL_CHARACTERS
            publishing = threading.Thread(target=lambda: asyncio.run(publish(redis_url, UUID(job), count)))
            publishing.start()
            texts = (event for event in messages(reader) if event["type"] == "partial")
            assert next(event for event in texts if event["start_time"] == count)
            publishing.join()
            wait_until(lambda: ended.poll(0), PATIENCE_SECONDS, "the end of who never reads")
            assert cut(idle) < MAX_UNREAD_CHARACTERS, "so much at most had waited for it"


def test_who_sends_and_does_not_read_is_read_no_further_and_has_all_answers_when_he_does(
    visitor: Visitor, tmp_path: Path
) -> None:
    job = finished_job(visitor, tmp_path)
    with opened(visitor, f"/ws/jobs/{job}/", receive_bytes=4096) as eager:
        assert json.loads(message(eager)[1])["type"] == "snapshot"
        before = peak_mib(visitor.site)
        wrong = frame(bytes(MESSAGE_BYTES), Opcode.BINARY)  # messages are text
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
        assert sent < MESSAGES, "the rest has to wait"
        assert peak_mib(visitor.site) - before < 10
        for _ in range(MESSAGES):
            assert json.loads(message(eager)[1])["type"] == "error"
        sending.join()


@contextmanager
def deaf(visitor: Visitor, job: str) -> Iterator[socket.socket]:
    """A viewer that asks to watch, and has as little room as there can be for what it does not read."""
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
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        deaf.settimeout(60)
        deaf.connect((address.hostname, address.port))
        deaf.sendall("\r\n".join([*lines, "", ""]).encode())
        yield deaf


def cut(idle: socket.socket) -> int:
    """Read, at last, to the end of a connection; return how many bytes there were."""
    count = 0
    try:
        while data := idle.recv(65536):
            count += len(data)
    except ConnectionError:
        pass  # it was cut: the server did not wait for what it had not read
    return count


async def publish(redis_url: str, job: UUID, count: int) -> None:
    layer = RedisPubSubChannelLayer(hosts=[{"address": redis_url, "socket_timeout": None}])
    for number in range(1, count + 1):
        text = str(number % 10) * PARTIAL_CHARACTERS
        partial = events.partial(Result(text, float(number), float(number), is_partial=True))
        await layer.group_send(feed_group(job), envelope(job, 0, 0, partial))
        await asyncio.sleep(1 / EVENTS_A_SECOND)
    await layer.flush()
