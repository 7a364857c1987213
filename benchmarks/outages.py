"""Clients that read nothing, an outage of PostgreSQL, and refused requests: load times, connections and log lines.

Figures in parentheses were reported for the version before the changes of November 2026.
"""

import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx

from benchmarks.site import after, meanwhile, served
from tests import recordings
from tests.postgres import Postgres
from tests.served_site.test_database_connections import unread
from tests.servers import Redis
from tests.site import Site, wait_until

DOWNLOADS, WAVEFORMS = 18, 20  # more than the 16 connections of a process
DOWNLOAD_SECONDS = 600  # of audio: more than fits into the buffers of a socket
AWAY_SECONDS = 10.0
BAD_REQUESTS = 3_000
QUICK = {"DOWNLOADS": 2, "WAVEFORMS": 2, "DOWNLOAD_SECONDS": 60, "AWAY_SECONDS": 0.5, "BAD_REQUESTS": 9}


def logged(site: Site, begin: int) -> str:
    log = site.log()[begin:]
    return f"{len(log.splitlines())} lines, {log.count('Traceback')} tracebacks"


def bad_requests(site: Site, cookie: str) -> None:
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    with httpx.Client(base_url=site.url, cookies={"sessionid": cookie}) as client:
        for number in range(BAD_REQUESTS):
            match number % 3:
                case 0:
                    answer = client.get("/nothing/")
                case 1:
                    answer = client.get("/", headers={"Host": "another.example"})
                case _:
                    answer = client.post("/accounts/login/", content=b"--x\r\nbroken", headers=form)
            assert 400 <= answer.status_code < 500, answer


def run() -> Iterator[tuple[str, str]]:
    redis = Redis()
    redis.start()
    with ExitStack() as stack:
        stack.callback(redis.kill)
        postgres = stack.enter_context(Postgres())
        shared = {"DATABASE_URL": postgres.create_database("bench"), "REDIS_URL": redis.url, "SECRET_KEY": "of both"}
        web, visitor = stack.enter_context(served(shared | {"TRANSCRIBE_RUN_JOBS": "0"}))
        opened = "select count(*) from pg_stat_activity where datname = 'bench' and pid <> pg_backend_pid()"

        def connections() -> str:
            return f"{postgres.execute(opened, 'bench')[0][0]} connections open of 16"

        upload = visitor.upload(recordings.long_silence(DOWNLOAD_SECONDS))
        with ExitStack() as clients:
            for _ in range(DOWNLOADS):
                clients.enter_context(unread(visitor, f"/uploads/{upload}/audio/?download"))
            others = meanwhile(web, visitor, after(2.0))
            yield f"{DOWNLOADS} unread downloads: meanwhile", f"{others}, {connections()} (every page 500)"

        uploads = [visitor.upload(recordings.tone(2.0)) for _ in range(WAVEFORMS)]
        with ThreadPoolExecutor(WAVEFORMS) as together:
            asked = [together.submit(visitor.http.get, f"/uploads/{each}/waveform.svg") for each in uploads]
            others = meanwhile(web, visitor, lambda: all(each.done() for each in asked))
        assert all(each.result().status_code == 200 for each in asked)
        yield f"{WAVEFORMS} new waveforms: meanwhile", f"{others}, {connections()} (every page 500)"

        worker = Site(Path(stack.enter_context(tempfile.TemporaryDirectory())), shared)
        worker.start_worker()
        stack.callback(worker.stop)
        wait_until(lambda: "Worker started" in worker.log(), what="the start of the worker")
        begin = len(worker.log())
        postgres.stop()
        wait_until(lambda: len(worker.log()) > begin, what="the first line of the outage")
        time.sleep(AWAY_SECONDS)
        lines = logged(worker, begin)
        postgres.start()
        wait_until(lambda: "The database is available again" in worker.log(), what="the return of the database")
        yield f"{AWAY_SECONDS:g} s without database: log of an idle worker", f"{lines} (740 lines, 20 tracebacks)"

        begin = len(web.log())
        bad_requests(web, visitor.http.cookies["sessionid"])
        yield f"{BAD_REQUESTS:,} bad requests: log of the web process", f"{logged(web, begin)} (933 tracebacks)"
