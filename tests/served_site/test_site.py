"""A served site: jobs survive a killed and a stopped server, and several processes show viewers the same text."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests import recordings
from tests.site import Site, wait_until
from tests.visitor import Visitor, events, segments, status
from tests.words import LARGEST_ERROR, TWO_CITIES, word_error_rate


def assert_whole(site: Site) -> None:
    """Assert that the finals have every word of the recording once, in order, and numbers without a gap."""
    stored = segments(site)
    assert [row[0] for row in stored] == list(range(1, len(stored) + 1))
    assert [row[1] for row in stored] == sorted(row[1] for row in stored)
    assert word_error_rate(TWO_CITIES, " ".join(row[3] for row in stored)) <= LARGEST_ERROR["two_cities"] + 0.03


@pytest.mark.parametrize("site", [{"TRANSCRIBE_LEASE_SECONDS": "3600"}], indirect=True)
def test_a_job_resumes_right_after_the_restart_of_its_killed_server_without_waiting_for_the_lease(
    site: Site, visitor: Visitor
) -> None:
    job = visitor.start(visitor.upload(recordings.speech("two_cities")))
    wait_until(lambda: len(segments(site)) >= 3, 90, "the third final")
    site.kill()
    kept = segments(site)
    assert status(site) == "running"
    site.start(port=int(site.url.rsplit(":", 1)[1]))
    with visitor.watch(job, after=len(kept)) as viewer:
        for event in events(viewer):
            if event.get("job", {}).get("status") == "completed":
                break
    assert segments(site)[: len(kept)] == kept
    assert_whole(site)


def test_a_stopped_server_requeues_its_job_and_closes_viewers_with_1012(site: Site, visitor: Visitor) -> None:
    job = visitor.start(visitor.upload(recordings.speech("two_cities")))
    with visitor.watch(job) as viewer:
        for event in events(viewer):
            if event["type"] == "final":
                break
        assert site.stop() == 0
        with pytest.raises(ConnectionClosed) as closed:
            for _ in events(viewer):
                pass
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    assert status(site) == "queued"
    assert "Traceback" not in site.log()
    site.start()
    wait_until(lambda: status(site) == "completed", 90, "the end of the job")
    assert_whole(site)
    assert list(site.folder.glob("workers/*/*.pcm")) == []


def test_early_and_late_viewers_of_two_processes_on_redis_get_the_same_finals(
    new_site: Callable[..., Site], redis_url: str
) -> None:
    web = new_site(REDIS_URL=redis_url, TRANSCRIBE_RUN_JOBS="0")
    web.start()
    worker = new_site(REDIS_URL=redis_url, TRANSCRIBE_DATA_DIR=str(web.folder))
    seen, partials = watch_both(web, worker, worker.start)
    stored = {seq: text for seq, _, _, text in segments(web)}
    assert seen == [stored, stored]
    assert partials > 0


def test_early_and_late_viewers_of_uvicorn_and_a_worker_get_the_same_finals(
    new_site: Callable[..., Site], redis_url: str
) -> None:
    web = new_site(REDIS_URL=redis_url)
    web.start_uvicorn()
    worker = new_site(REDIS_URL=redis_url, TRANSCRIBE_DATA_DIR=str(web.folder))
    seen, partials = watch_both(web, web, worker.start_worker)
    stored = {seq: text for seq, _, _, text in segments(web)}
    assert seen == [stored, stored]
    assert partials > 0
    assert worker.stop() == 0
    assert "Traceback" not in web.log() + worker.log()


def watch_both(first: Site, second: Site, start_worker: Callable[[], None]) -> tuple[list[dict[int, str]], int]:
    """Watch a job on both sites. Return the finals of both viewers and the number of partials.

    The first viewer connects before the worker and the job start, the second one after the job has ended.
    """
    with Visitor(first) as visitor:
        job = visitor.start(visitor.upload(recordings.speech("beckett")))
        with visitor.watch(job) as watched:
            watching = events(watched)
            assert next(watching)["job"]["status"] == "queued"
            start_worker()
            early, partials = read(watching)
    with Visitor(second) as visitor, visitor.watch(job) as watched:
        late, _ = read(events(watched))
    return [early, late], partials


def read(watching: Iterator[dict[str, Any]]) -> tuple[dict[int, str], int]:
    """Read events until the job is completed. Return the finals by number, and the number of partials."""
    finals: dict[int, str] = {}
    partials = 0
    for event in watching:
        partials += event["type"] == "partial"
        for segment in event.get("segments", []) if event["type"] == "snapshot" else []:
            finals[segment["seq"]] = segment["text"]
        if event["type"] == "final":
            finals[event["seq"]] = event["segment"]["text"]
        if event.get("job", {}).get("status") == "completed":
            break
    return finals, partials
