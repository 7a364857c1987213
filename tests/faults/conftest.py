"""Fixtures and helpers for tests of faults: served sites with the engine `scripted`, and a signed-in client."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.recordings import numbers
from tests.site import Site, wait_until
from tests.visitor import Visitor, events, status

METRICS_TOKEN = "only for tests of metrics"


@pytest.fixture
def web(new_site: Callable[..., Site]) -> Site:
    """A running site."""
    web = new_site(DJANGO_SETTINGS_MODULE="tests.served", TRANSCRIBE_METRICS_TOKEN=METRICS_TOKEN)
    web.start()
    return web


@pytest.fixture
def short_timeout_site(new_site: Callable[..., Site]) -> Site:
    """A running site with short timeouts (`short_timeouts.py`)."""
    web = new_site(DJANGO_SETTINGS_MODULE="tests.served", TRANSCRIBE_METRICS_TOKEN=METRICS_TOKEN)
    web.start(program=("-m", "tests.faults.short_timeouts"))
    return web


@pytest.fixture
def visitor(web: Site) -> Iterator[Visitor]:
    with Visitor(web) as visitor:
        yield visitor


def finished_job(visitor: Visitor, folder: Path, words: int = 40) -> str:
    """Upload a recording of `words` words and return its completed job, which has a final for each four words."""
    job = visitor.start(visitor.upload(numbers(folder / "numbers.wav", words)))
    wait_until(lambda: status(visitor.site) == "completed", 60, "the end of the job")
    return job


def running_job(visitor: Visitor, folder: Path, words: int, pace: float) -> str:
    """Return a running job that transcribes `pace` seconds of its recording a second, with two words in each second."""
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
    """Return the number of sockets that watch a job, from the site's metrics."""
    answer = visitor.http.get("/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"})
    (line,) = [line for line in answer.text.splitlines() if line.startswith("transcribe_viewers ")]
    return int(float(line.split()[1]))


def connections(site: Site) -> int:
    """Return the number of a site's open network sockets. Files don't count, because threads open and close them."""
    assert site.process is not None
    count = 0
    for path in Path(f"/proc/{site.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # the site has just closed it
            count += os.readlink(path).startswith("socket:")
    return count


def memory_mib(site: Site) -> float:
    """Return the resident memory of a site's process."""
    assert site.process is not None
    lines = Path(f"/proc/{site.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def is_unharmed(site: Site) -> bool:
    """Return whether no request and no socket has ended with an error. daphne logs those once a second."""
    time.sleep(1.2)
    return "Traceback" not in site.log()
