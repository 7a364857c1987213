"""Uploads over bad networks and to web processes that are killed: a recording is stored whole or not at all."""

import hashlib
import os
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests import recordings
from tests.faults.conftest import is_unharmed
from tests.faults.raw_clients import connected, cut
from tests.faults.test_bodies import written_bytes
from tests.recordings import numbers
from tests.site import Site, wait_until
from tests.visitor import Visitor, rows


def request(visitor: Visitor, content: bytes) -> bytes:
    """Return the bytes of an upload request, from its first line to the end of its form."""
    cookie = "; ".join(f"{name}={value}" for name, value in visitor.http.cookies.items())
    body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + content + b"\r\n--x--\r\n"
    lines = (
        "POST /uploads/ HTTP/1.1",
        f"Host: {visitor.site.url.removeprefix('http://')}",
        f"Cookie: {cookie}",
        f"X-CSRFToken: {visitor.http.cookies['csrftoken']}",
        "Accept: application/json",
        "Content-Type: multipart/form-data; boundary=x",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join([*lines, "", ""]).encode() + body


def stored(site: Site) -> list[str]:
    """Return the names of the site's stored and incoming files."""
    folders = (site.folder / "media", site.folder / "incoming")
    return sorted(path.name for folder in folders for path in folder.rglob("*") if path.is_file())


def ids(site: Site) -> list[str]:
    return sorted(row[0] for row in rows(site, "select id from uploads_upload"))


def test_an_upload_that_is_cut_at_any_byte_leaves_no_file(web: Site, visitor: Visitor, tmp_path: Path) -> None:
    sent = request(visitor, numbers(tmp_path / "numbers.wav", 400).read_bytes())  # 6 MB
    head = sent.index(b"--x")
    places = [1, 15, head - 3, head - 1, head, head + 1, head + 30, head + 90, *range(head + 1000, len(sent), 500_000)]
    for place in [*places, len(sent) - 20, len(sent) - 1]:
        connection = connected(web)
        connection.sendall(sent[:place])
        cut(connection)
    whole = visitor.upload(tmp_path / "numbers.wav")
    assert ids(web) == [whole.replace("-", "")]
    wait_until(lambda: stored(web) == [whole], 60, "the end of its temporary file")
    assert is_unharmed(web)


def test_a_client_that_disconnects_after_sending_its_upload_causes_no_error(
    web: Site, visitor: Visitor, tmp_path: Path
) -> None:
    sent = request(visitor, numbers(tmp_path / "numbers.wav", 400).read_bytes())
    for _ in range(10):
        with connected(web) as connection:
            connection.sendall(sent)
    visitor.upload(tmp_path / "numbers.wav")
    wait_until(lambda: [name.replace("-", "") for name in stored(web)] == ids(web), 60, "the end of the last upload")
    assert is_unharmed(web)


def test_an_upload_that_arrives_byte_by_byte_is_stored_whole(visitor: Visitor) -> None:
    content = recordings.tone(0.11).read_bytes()
    with connected(visitor.site) as connection:
        for byte in request(visitor, content):
            connection.send(bytes([byte]))
            time.sleep(0.0003)  # else the kernel would join the bytes
        answer = b""
        while not answer.endswith(b"}") and (piece := connection.recv(4096)):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 201 ")
    upload = re.findall(rb'"id": "(\S+)"', answer)[0].decode()
    assert visitor.http.get(f"/uploads/{upload}/audio/").content == content


def test_concurrent_uploads_with_the_same_name_are_each_stored_whole(visitor: Visitor, tmp_path: Path) -> None:
    contents = []
    for number in range(6):
        (tmp_path / str(number)).mkdir()
        contents.append(numbers(tmp_path / str(number) / "talk.wav", 20, first=100 * number))
    with ThreadPoolExecutor(6) as together:
        uploads = list(together.map(visitor.upload, contents))
    for upload, path in zip(uploads, contents, strict=True):
        assert visitor.http.get(f"/uploads/{upload}/audio/").content == path.read_bytes()


def test_the_incoming_file_of_a_killed_process_is_deleted_when_it_is_old(new_site: Callable[..., Site]) -> None:
    web = new_site(DJANGO_SETTINGS_MODULE="tests.served")
    web.start(program=("-m", "tests.faults.crash_worker", "receiving"))
    with Visitor(web) as visitor, pytest.raises(httpx.TransportError):  # the server dies
        visitor.upload(recordings.tone(60.0))
    web.kill()
    (left,) = (web.folder / "incoming").iterdir()
    web.start()
    assert (ids(web), stored(web)) == ([], [left.name])
    web.kill()
    os.utime(left, (0, 0))
    web.start()
    wait_until(lambda: not stored(web), what="the sweeping")


def test_an_upload_is_written_to_disk_once_and_hashed(visitor: Visitor, tmp_path: Path) -> None:
    """The server parses the form while it arrives, and the storage moves the file instead of copying it."""
    path = numbers(tmp_path / "numbers.wav", 1000)  # 16 MB
    before = written_bytes(visitor.site)
    upload = visitor.upload(path)
    written = written_bytes(visitor.site) - before
    assert written < 1.1 * path.stat().st_size
    ((kept,),) = rows(visitor.site, "select sha256 from uploads_upload")
    assert kept == hashlib.sha256(path.read_bytes()).hexdigest()
    assert visitor.http.get(f"/uploads/{upload}/audio/").content == path.read_bytes()
