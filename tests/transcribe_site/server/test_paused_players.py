"""A paused player stops reading an open range. The server must not read the file or the bucket ahead of it."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import recordings
from tests.s3 import Bucket
from tests.site import Site, wait_until
from tests.visitor import Visitor, rows

MIB = 1024**2
SIZE = 32 * MIB
AHEAD = 12 * MIB  # one piece of a bucket, and the maximum of the kernel's socket buffers


@pytest.fixture
def large() -> Iterator[Path]:
    """Yield a WAV of 32 MiB."""
    path = recordings.folder() / "paused.wav"
    with open(recordings.tone(1.0), "rb") as second:
        header, audio = second.read(44), second.read()
    path.write_bytes((header + audio * (SIZE // len(audio) + 1))[:SIZE])
    yield path
    path.unlink()


def pause(visitor: Visitor, upload: str) -> socket.socket:
    """Request a whole recording as a player does, and read only the beginning of the response. Returns the socket."""
    host, port = visitor.site.url.removeprefix("http://").split(":")
    player = socket.socket()
    player.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    player.settimeout(60)
    player.connect((host, int(port)))
    cookie = f"sessionid={visitor.http.cookies['sessionid']}"
    lines = [f"GET /uploads/{upload}/audio/ HTTP/1.1", f"Host: {host}:{port}", f"Cookie: {cookie}", "Range: bytes=0-"]
    player.sendall("\r\n".join([*lines, "", ""]).encode())
    head = player.recv(2000).decode("latin-1")
    assert head.startswith("HTTP/1.1 206 ")
    assert f"\r\nContent-Length: {SIZE}\r\n".lower() in head.lower()
    return player


def places(site: Site, upload: str) -> list[int]:
    """Return the read position (bytes) of each descriptor that the server has open on the recording's file."""
    assert site.process is not None
    found = []
    for link in Path(f"/proc/{site.process.pid}/fd").iterdir():
        try:
            if upload in os.readlink(link):
                lines = Path(f"/proc/{site.process.pid}/fdinfo/{link.name}").read_text().splitlines()
                found.append(int(lines[0].split()[1]))
        except FileNotFoundError:
            pass  # the server has closed it meanwhile
    return found


def test_a_paused_player_does_not_make_the_server_read_the_rest_of_a_file(site: Site, large: Path) -> None:
    with Visitor(site) as visitor:
        upload = visitor.upload(large)
        with pause(visitor, upload):
            # Meanwhile another client receives the whole file.
            assert visitor.http.get(f"/uploads/{upload}/audio/").content == large.read_bytes()
            wait_until(lambda: len(places(site, upload)) == 1, what="the end of the other response")
            assert places(site, upload)[0] < AHEAD
        wait_until(lambda: places(site, upload) == [], what="closing the file of a player that is gone")


def test_a_paused_player_does_not_make_the_server_read_the_rest_from_the_bucket(
    new_site: Callable[..., Site], bucket: Bucket, large: Path
) -> None:
    site = new_site(**bucket.environment, TRANSCRIBE_RUN_JOBS="0")
    site.start()
    with Visitor(site) as visitor:
        upload = visitor.upload(large)
        # Wait for the waveform: its decoder also reads the bucket, and would be measured too.
        wait_until(lambda: rows(site, "select 1 from uploads_upload where peaks is not null"), what="the waveform")
        before = bucket.gate.answered_bytes
        with pause(visitor, upload):
            assert visitor.http.get(f"/uploads/{upload}/audio/").content == large.read_bytes()
            assert bucket.gate.answered_bytes - before < SIZE + AHEAD
