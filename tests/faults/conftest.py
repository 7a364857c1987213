"""A served site with the engine of the tests, and somebody signed in."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.recordings import numbers
from tests.served_site.test_site import status
from tests.site import Site, wait_until
from tests.visitor import Visitor, events

METRICS_TOKEN = "only for tests of metrics"


@pytest.fixture
def web(new_site: Callable[..., Site]) -> Site:
    """A running site."""
    web = new_site(DJANGO_SETTINGS_MODULE="tests.served", TRANSCRIBE_METRICS_TOKEN=METRICS_TOKEN)
    web.start()
    return web


@pytest.fixture
def impatient(new_site: Callable[..., Site]) -> Site:
    """A running site that waits for nobody for long."""
    web = new_site(DJANGO_SETTINGS_MODULE="tests.served", TRANSCRIBE_METRICS_TOKEN=METRICS_TOKEN)
    web.start(program=("-m", "tests.faults.short_timeouts"))
    return web


@pytest.fixture
def visitor(web: Site) -> Iterator[Visitor]:
    with Visitor(web) as visitor:
        yield visitor


def finished_job(visitor: Visitor, folder: Path, words: int = 40) -> str:
    """Return a job that is completed, with a final for each four of its words."""
    job = visitor.start(visitor.upload(numbers(folder / "numbers.wav", words)))
    wait_until(lambda: status(visitor.site) == "completed", 60, "the end of the job")
    return job


def running_job(visitor: Visitor, folder: Path, words: int, pace: float) -> str:
    """Return a job that has begun, and hears `pace` seconds of its recording a second: two words each."""
    upload = visitor.upload(numbers(folder / "numbers.wav", words))
    cookie = {"Cookie": f"sessionid={visitor.http.cookies['sessionid']}"}
    url = f"ws{visitor.site.url[4:]}/ws/stream/"
    with connect(url, additional_headers=cookie, origin=visitor.site.url) as stream:  # type: ignore[arg-type]
        stream.send(json.dumps({"type": "start", "upload": upload, "options": {"pace": pace}}))
        for event in events(stream):
            if event.get("job", {}).get("status") == "running":
                return str(event["job"]["id"])
    raise AssertionError("the stream ended")


def watching(visitor: Visitor) -> int:
    """Return how many sockets watch a job, as the site counts them."""
    answer = visitor.http.get("/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"})
    (line,) = [line for line in answer.text.splitlines() if line.startswith("transcribe_viewers ")]
    return int(float(line.split()[1]))


def connections(site: Site) -> int:
    """Return how many sockets of the network a site has open. (Its threads open files of the database as they like.)"""
    assert site.process is not None
    count = 0
    for path in Path(f"/proc/{site.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it was closed in this moment
            count += os.readlink(path).startswith("socket:")
    return count


def memory_mib(site: Site) -> float:
    """Return the memory that a site has now."""
    assert site.process is not None
    lines = Path(f"/proc/{site.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def is_unharmed(site: Site) -> bool:
    """Whether no request and no socket ended with an error. daphne tells of those once a second."""
    time.sleep(1.2)
    return "Traceback" not in site.log()
