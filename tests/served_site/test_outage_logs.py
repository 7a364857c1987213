"""The logs of a web process and an idle worker while the database or Redis is down for more than ten seconds."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest

from tests.postgres import Postgres
from tests.servers import Redis
from tests.site import Site, wait_until
from tests.visitor import Visitor

AWAY_SECONDS = 12.0
REQUESTS_AT_ONCE = 8
# The lines of an outage: unavailable, still unavailable, available again; and one about a part that was down earlier.
MAX_LINES = 4


@pytest.fixture
def redis() -> Iterator[Redis]:
    """A Redis server of this test, which the test may kill."""
    server = Redis()
    server.start()
    yield server
    server.kill()


def lines_since(site: Site, begin: int) -> list[str]:
    log = site.log()[begin:]
    assert "Traceback" not in log, log[-3000:]
    return log.splitlines()


@pytest.mark.parametrize("part", ["database", "channel layer"])
def test_a_web_process_and_an_idle_worker_log_an_outage_in_a_few_lines(
    part: str, new_site: Callable[..., Site], postgres: Postgres, database: str, redis: Redis
) -> None:
    shared = {"DATABASE_URL": postgres.url(database), "REDIS_URL": redis.url, "SECRET_KEY": "the same on both"}
    web, worker = new_site(**shared, TRANSCRIBE_RUN_JOBS="0"), new_site(**shared)
    stop, start = (postgres.stop, postgres.start) if part == "database" else (redis.kill, redis.start)
    web.start()
    worker.start_worker()
    with Visitor(web) as visitor:
        wait_until(lambda: "Worker started" in worker.log(), what="the start of the worker")
        assert visitor.http.get("/").status_code == 200
        begin_of_web, begin_of_worker = len(web.log()), len(worker.log())
        stop()
        end = time.monotonic() + AWAY_SECONDS

        def ask() -> None:
            while time.monotonic() < end:
                with suppress(httpx.ReadTimeout):
                    visitor.http.get("/", timeout=8.0)
                time.sleep(0.2)

        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
            for _ in range(REQUESTS_AT_ONCE):
                pool.submit(ask)
        start()
        wait_until(lambda: visitor.http.get("/").status_code == 200, what="a working page after the outage")
        wait_until(lambda: f"The {part} is available again" in worker.log(), what="the log line after the outage")
    assert 2 <= len(lines_since(worker, begin_of_worker)) <= MAX_LINES, worker.log()
    assert len(lines_since(web, begin_of_web)) <= MAX_LINES, web.log()


def test_each_refused_request_is_logged_in_one_line_without_a_traceback(site: Site) -> None:
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    fields = {"Content-Type": "application/x-www-form-urlencoded"}
    with Visitor(site) as visitor, httpx.Client(base_url=site.url) as anonymous:
        begin = len(site.log())
        answers = [
            anonymous.get("/nothing/"),
            anonymous.get("/", headers={"Host": "evil.example"}),
            anonymous.post("/accounts/login/", content=b"xx", headers=form),
            anonymous.post(
                "/accounts/login/",
                content=b"a=b&" * 2000,
                headers=fields,
            ),
            visitor.http.get("/uploads/nothing/"),
            visitor.http.put("/uploads/"),
            visitor.http.post("/uploads/", content=b"--x\r\nbroken", headers=form),
            visitor.http.post("/uploads/", content=b"a=b&" * 2000, headers=fields),
            visitor.http.get("/admin/nothing/"),
        ]
        assert [answer.status_code for answer in answers if not 400 <= answer.status_code < 500] == []
        lines = lines_since(site, begin)
        assert len(lines) == len(answers), "\n".join(lines)
