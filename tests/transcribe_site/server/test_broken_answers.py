"""Answers that break off after they have begun: the server closes the connection at once and releases its resources."""

import os
import signal
import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from http.client import IncompleteRead
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests import recordings
from tests.site import Site, wait_until
from tests.visitor import Visitor

LATE_SECONDS = 30.0  # less than the minute after which the server closes an idle connection
MIB = 1024**2


@pytest.fixture
def needs_copy(tmp_path: Path) -> Path:
    """Return an hour of silence in a format that browsers don't play. Encoding its listening copy takes seconds."""
    rate, path = 8000, tmp_path / "silence.wav"
    count = rate * 3600
    form = struct.pack("<HHIIHHH", 7, 1, rate, rate, 1, 8, 0)  # µ-law
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", count)
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(chunks) + count) + b"WAVE" + chunks + b"\xff" * count)
    return path


def encoders(upload: str) -> list[int]:
    """Return the ids of the processes that encode listening copies of a recording."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().split(b"\0")
        except OSError:  # the process has ended
            continue
        if b"listen" in command and any(part.endswith(upload.encode()) for part in command):
            found.append(int(path.parent.name))
    return found


def test_a_crashed_encoder_ends_the_responses_of_all_its_listeners(
    site: Site, visitor: Visitor, needs_copy: Path
) -> None:
    upload = visitor.upload(needs_copy)
    cookie = {"Cookie": f"sessionid={visitor.http.cookies['sessionid']}"}

    def listen() -> str:
        with urlopen(Request(f"{site.url}/uploads/{upload}/listen/", headers=cookie), timeout=LATE_SECONDS) as answer:
            begun.append(answer.read(10))
            try:
                answer.read()
            except (IncompleteRead, ConnectionResetError):
                return "cut"
            return "complete"

    assert site.process is not None
    descriptors = Path(f"/proc/{site.process.pid}/fd")
    begun: list[bytes] = []
    with ThreadPoolExecutor(3) as threads:
        listeners = [threads.submit(listen) for _ in range(3)]
        wait_until(lambda: len(begun) == 3, what="the beginning of the copy")
        for process in encoders(upload):
            os.kill(process, signal.SIGKILL)
        assert [listener.result() for listener in listeners] == ["cut"] * 3
    visitor.http.get("/healthz")
    before = len(list(descriptors.iterdir()))
    for _ in range(20):
        with socket.create_connection(address(site)) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.recv(4096)
    wait_until(lambda: len(list(descriptors.iterdir())) <= before + 2, what="forgetting the connections")


def test_a_file_truncated_during_its_response_ends_the_connection(site: Site, visitor: Visitor) -> None:
    upload = visitor.upload(recordings.long_silence(2000))
    (stored,) = [path for path in (site.folder / "media" / "uploads").rglob(upload)]
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.settimeout(LATE_SECONDS)
        connection.connect(address(site))
        cookie = f"Cookie: sessionid={visitor.http.cookies['sessionid']}"
        connection.sendall(f"GET /uploads/{upload}/audio/ HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\n\r\n".encode())
        head = connection.recv(4096)
        assert head.startswith(b"HTTP/1.1 200 ")
        size = stored.stat().st_size
        assert size > 60 * MIB
        os.truncate(stored, MIB)
        received = len(head)
        while piece := connection.recv(MIB):
            received += len(piece)
        assert received < size


def address(site: Site) -> tuple[str, int]:
    host, port = site.url.removeprefix("http://").split(":")
    return host, int(port)
