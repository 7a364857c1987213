"""A served site with the engine for Amazon Transcribe, against a mock of the service in a process of its own."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from tests.site import Site, wait_until
from tests.standin.process import standin
from tests.streaming.conftest import numbers, words
from tests.visitor import Visitor, rows

COUNT = 240  # two minutes
RATE = "10"


@pytest.fixture
def site(new_site: Callable[..., Site]) -> Iterator[Site]:
    with standin("--rate", RATE) as environ:
        site = new_site(**environ, TRANSCRIBE_ENGINE="aws", TRANSCRIBE_AWS_PACE=RATE)
        site.start()
        yield site


def has_members(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def stored_words(site: Site) -> list[str]:
    stored = rows(site, "select text from streaming_segment order by seq")
    return re.sub(r"\.", "", " ".join(str(row[0]) for row in stored)).split()


def test_an_amazon_job_whose_server_is_killed_three_times_has_every_word_once(site: Site) -> None:
    with Visitor(site) as visitor:
        visitor.start(visitor.upload(numbers(site.folder / "numbers.wav", COUNT)))
    for kill in range(1, 4):
        wait_until(lambda kill=kill: len(stored_words(site)) >= 48 * kill, 60, "more words")  # type: ignore[misc]
        site.kill()
        kept = stored_words(site)
        assert kept == words(len(kept))
        site.start()
    wait_until(lambda: rows(site, "select status from streaming_job") == [("completed",)], 60, "the end of the job")
    assert stored_words(site) == words(COUNT)


def test_the_demo_serves_the_site_with_the_mock_service_and_ends_all_its_processes(tmp_path: object) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TRANSCRIBE_")}
    environ |= {
        "TRANSCRIBE_DATA_DIR": str(tmp_path),
        "PORT": "0",  # any free port
        "DJANGO_SETTINGS_MODULE": "transcribe_site.settings",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "tests.standin.demo"],
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as demo:
        try:
            assert demo.stdout is not None
            address = next(found[0] for line in demo.stdout if (found := re.search(r"http://127\.0\.0\.1:\d+/", line)))
            with urllib.request.urlopen(f"{address}healthz") as answer:
                assert answer.read() == b"ok\n"
            demo.send_signal(signal.SIGTERM)
            assert demo.wait(timeout=60) == 0
            wait_until(lambda: not has_members(demo.pid), what="the end of all that it started")
        finally:
            if demo.poll() is None:
                os.killpg(demo.pid, signal.SIGKILL)
