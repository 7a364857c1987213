"""A served site on PostgreSQL: slow clients, a slow storage and password hashes use up no database connections.

A process has 16 connections. Requests release theirs before they wait.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from django.contrib.auth.hashers import check_password
from django.db import connection, connections

from tests.postgres import Postgres
from tests.s3 import Bucket
from tests.site import Site, wait_until
from tests.streaming.conftest import numbers
from tests.visitor import Visitor
from transcribe_site.passwords import PasswordHasher

MORE_THAN_THE_POOL = 20
SEGMENTS, SEGMENT_CHARACTERS = 1_000, 8_000  # make a transcript that is larger than the buffers of a socket
SLOW_ITERATIONS = 6_000_000  # a hash that takes two seconds or more


@contextmanager
def unread(visitor: Visitor, path: str) -> Iterator[str]:
    """Request `path`, read the first bytes of the response, yield them, and read nothing more."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(30)
        client.connect((visitor.http.base_url.host, visitor.http.base_url.port))
        lines = (f"GET {path} HTTP/1.1", "Host: localhost", f"Cookie: sessionid={visitor.http.cookies['sessionid']}")
        client.sendall("\r\n".join([*lines, "", ""]).encode())
        yield client.recv(12).decode()


def add_long_transcript(postgres: Postgres, database: str, job: str) -> None:
    postgres.execute(
        f"""insert into streaming_segment
        (job_id, seq, slot, start_time, end_time, text, speaker, channel, language_code, words, is_provisional)
        select '{job}', 100 + n, '0', n, n + 1, repeat('word ', {SEGMENT_CHARACTERS // 5}), '', '', '', '[]', false
        from generate_series(1, {SEGMENTS}) n""",
        database,
    )


def test_clients_that_do_not_read_downloads_or_transcripts_do_not_block_pages(
    new_site: Callable[..., Site], postgres: Postgres, database: str, tmp_path: Path
) -> None:
    site = new_site(DATABASE_URL=postgres.url(database), DJANGO_SETTINGS_MODULE="tests.served")
    site.start()
    with Visitor(site) as visitor, ExitStack() as stack:
        upload = visitor.upload(numbers(tmp_path / "numbers.wav", 750))
        job = visitor.start(upload)
        add_long_transcript(postgres, database, job)
        for path in (f"/uploads/{upload}/audio/?download", f"/jobs/{job}/transcript.txt"):
            answers = [stack.enter_context(unread(visitor, path)) for _ in range(MORE_THAN_THE_POOL)]
            assert answers == ["HTTP/1.1 200"] * MORE_THAN_THE_POOL, path
            assert visitor.http.get("/").status_code == 200


@pytest.mark.parametrize("kind", ["audio", "waveform", "upload", "delete"])
def test_requests_that_wait_for_the_storage_do_not_block_pages(
    kind: str, new_site: Callable[..., Site], postgres: Postgres, database: str, bucket: Bucket, tmp_path: Path
) -> None:
    site = new_site(DATABASE_URL=postgres.url(database), DJANGO_SETTINGS_MODULE="tests.served", **bucket.environment)
    site.start()
    path = numbers(tmp_path / "numbers.wav", 4)
    count = 1 if kind == "audio" else 0 if kind == "upload" else MORE_THAN_THE_POOL
    with Visitor(site) as visitor, ThreadPoolExecutor(MORE_THAN_THE_POOL) as pool:
        uploads = [visitor.upload(path) for _ in range(count)]

        def ask(number: int) -> object:
            match kind:
                case "audio":
                    return visitor.http.get(f"/uploads/{uploads[0]}/audio/", headers={"Range": "bytes=0-99"})
                case "waveform":
                    return visitor.http.get(f"/uploads/{uploads[number]}/waveform.svg")
                case "delete":
                    return visitor.http.post(f"/uploads/{uploads[number]}/delete/")
            return visitor.upload(path)

        before = bucket.gate.connections
        bucket.gate.hold()
        asked = [pool.submit(ask, number) for number in range(MORE_THAN_THE_POOL)]
        # The site makes waveforms one at a time and in the background, so only one waits for the storage.
        waiting = 1 if kind == "waveform" else MORE_THAN_THE_POOL
        wait_until(lambda: bucket.gate.connections >= before + waiting, what="the wait for the storage")
        answers = [visitor.http.get("/").status_code for _ in range(MORE_THAN_THE_POOL)]
        if kind == "waveform":
            assert [each.result(30).status_code for each in asked] == [200] * MORE_THAN_THE_POOL
        else:
            assert not any(each.done() for each in asked), "all requests were waiting meanwhile"
        bucket.gate.resume()
        assert answers == [200] * MORE_THAN_THE_POOL


@pytest.mark.django_db(transaction=True)
def test_a_password_hash_holds_no_database_connection(settings: object) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no pool")
    settings.PASSWORD_HASHERS = ["transcribe_site.passwords.PasswordHasher"]  # type: ignore[attr-defined]
    encoded = PasswordHasher().encode("secret", "salt", SLOW_ITERATIONS)

    has_connection = threading.Event()

    def sign_in() -> None:
        connection.ensure_connection()  # as a request has one after the query for the account
        has_connection.set()
        check_password("another", encoded)
        connections.close_all()

    def in_use() -> int:
        stats = connection.pool.get_stats()
        return int(stats["pool_size"] - stats["pool_available"])

    connection.ensure_connection()  # creates the pool
    connection.close()
    before = in_use()
    thread = threading.Thread(target=sign_in)
    thread.start()
    has_connection.wait()

    def is_released_meanwhile() -> bool:
        assert thread.is_alive(), "the hash ended without releasing its connection"
        return in_use() <= before

    wait_until(is_released_meanwhile)
    thread.join()
