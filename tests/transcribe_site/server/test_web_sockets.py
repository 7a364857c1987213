"""WebSockets: close codes, long messages, clients that read nothing, and text that UTF-8 cannot encode."""

import itertools
import json
import sqlite3
import time
from uuid import uuid4

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests import recordings
from tests.site import Site, wait_until
from tests.visitor import Visitor, events, status


def test_a_viewer_that_reads_nothing_uses_no_memory_and_gets_all_finals_later(site: Site, visitor: Visitor) -> None:
    """Messages for a slow socket wait in the feed, where partials replace each other, not in the server's buffers."""
    job = visitor.start(visitor.upload(recordings.speech("beckett")))
    wait_until(lambda: status(site) == "completed", 90, "the end of the job")
    with visitor.watch(job) as idle, visitor.watch(job) as reader:
        before = site.peak_mib()
        for _ in range(3000):  # the server answers each with a snapshot of some KB; `idle` does not read them
            idle.send('{"type": "sync", "after": 0}')
            reader.send('{"type": "sync", "after": 0}')
            reader.recv(timeout=60)
        assert site.peak_mib() - before < 40
        assert next(events(idle))["type"] == "snapshot"


def test_answers_a_message_with_text_that_utf8_cannot_encode(site: Site, visitor: Visitor) -> None:
    upload = visitor.upload(recordings.speech("beckett"))
    with visitor.socket("/ws/stream/") as socket:
        for _ in range(2):
            socket.send('{"type": "start", "upload": "%s", "engine": "\\ud800"}' % upload)  # noqa: UP031
            assert next(events(socket))["type"] == "error"


def test_every_close_code_reaches_the_browser(site: Site, visitor: Visitor) -> None:
    cookie = {"Cookie": f"sessionid={visitor.http.cookies['sessionid']}"}
    path = f"/ws/jobs/{uuid4()}/"
    for headers, origin, code in (
        ({}, site.url, 4401),
        (cookie, site.url, 4404),
        (cookie, "http://evil.example", 1008),
    ):
        with (
            connect(f"ws{site.url[4:]}{path}", additional_headers=headers, origin=origin, open_timeout=60) as socket,  # type: ignore[arg-type]
            pytest.raises(ConnectionClosed) as closed,
        ):
            socket.recv(timeout=60)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == code


def with_a_long_line(site: Site) -> None:
    wait_until(lambda: status(site) == "completed", 90, "the end of the job")
    database = sqlite3.connect(site.folder / "db.sqlite3", timeout=20)
    with database:
        database.execute("update streaming_segment set text = ? where seq = 1", ("a long line " * 100_000,))
    database.close()


def test_a_long_transcript_arrives_in_one_snapshot(site: Site, visitor: Visitor) -> None:
    job = visitor.start(visitor.upload(recordings.speech("beckett")))
    with_a_long_line(site)
    with visitor.watch(job) as viewer:
        snapshot = next(events(viewer))
    assert len(snapshot["segments"][0]["text"]) == 1_200_000


def test_a_long_message_is_sent_completely_although_the_viewer_requests_another(site: Site, visitor: Visitor) -> None:
    """Otherwise the next message would begin in the middle of this one, and the client could not parse the rest."""
    start = json.dumps({"type": "start", "upload": visitor.upload(recordings.speech("beckett")), "request_id": "one"})
    with visitor.socket("/ws/stream/") as socket:
        socket.send(start)
        assert next(events(socket))["type"] == "snapshot"
    with_a_long_line(site)
    with visitor.socket("/ws/stream/") as socket:
        socket.send(start)
        fragments = socket.recv_streaming(decode=True)
        begun = next(fragments)
        for _ in range(4):  # each ends the watch that the one before started; the client reads nothing yet
            socket.send(start)
            time.sleep(0.1)
        socket.send('{"type": "nothing"}')
        first = json.loads(begun + "".join(fragments))
        others = itertools.takewhile(lambda event: event["type"] != "error", events(socket))
        lengths = [len(one["segments"][0]["text"]) for one in [first, *others] if one["type"] == "snapshot"]
    assert set(lengths) == {1_200_000}


def test_an_unknown_socket_address_closes_the_socket_and_logs_no_error(site: Site) -> None:
    for path in ("/ws/nothing/", "/ws/jobs/not-a-uuid/"):
        with connect(f"ws{site.url[4:]}{path}", open_timeout=60) as nothing, pytest.raises(ConnectionClosed) as closed:
            nothing.recv(timeout=60)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4404
    assert "Traceback" not in site.log()
