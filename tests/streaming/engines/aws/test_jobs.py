"""Jobs on Amazon's engine: waiting for a stream, cancellation, retries, and billed audio."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streaming.db import in_thread
from streaming.jobs import lifecycle
from streaming.models import Job, Status
from tests.standin import Fault, Habits, Service
from tests.streaming.conftest import PATIENCE_SECONDS, Other, Running, Watching, dies_at, transcript_of, words
from tests.streaming.engines.aws.conftest import RATE, Point, expected_words, two_channels, until_closed
from uploads.models import Upload

Spoken = Callable[..., Upload]


async def start(upload: Upload, **options: Any) -> Job:
    job, _ = await in_thread(lifecycle.start)(upload, engine="aws", options=options)
    return job


async def until(job: Job, is_so: Callable[[Job], object]) -> Job:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not is_so(now := await Job.objects.aget(pk=job.pk)):
            await asyncio.sleep(0.02)
    return now


async def until_status(job: Job, status: Status) -> Job:
    return await until(job, lambda now: now.status == status)


async def heard(job: Job) -> list[str]:
    return [word.strip(".") for word in await in_thread(transcript_of)(job)]


async def test_a_viewer_receives_an_amazon_job_to_its_end(
    service: Service, running: Running, spoken: Spoken, watching: Watching, alice: Any
) -> None:
    job = await start(await in_thread(spoken)(30))
    async with watching(alice, job) as viewer, running():
        await viewer.until_status("completed")
        assert [word.strip(".") for word in viewer.words] == words(30)
        assert any(event["type"] == "partial" for event in viewer.events)
    assert service.streams == 0


async def test_results_after_the_end_of_the_recording_are_cut_off(
    point: Point, running: Running, spoken: Spoken
) -> None:
    async with Service(rate=RATE, habits=Habits(names_channel=True, end_padding=0.4)) as service:
        point(service)
        job = await start(await in_thread(spoken)(6))
        async with running():
            ended = await until_status(job, Status.COMPLETED)
    segments = await in_thread(lambda: [*ended.segments.order_by("seq")])()
    assert [segment.end_time for segment in segments] == [2.4, 3.0]
    assert ended.duration == 3.0


async def test_a_job_without_a_free_stream_waits_in_the_queue_with_a_reason(
    point: Point, running: Running, spoken: Spoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "FIRST_PAUSE_SECONDS", 0.2)
    async with Service(rate=RATE, quota=0) as service:  # as if other users of the account occupied all streams
        point(service)
        upload = await in_thread(spoken)(20)
        async with running(max_jobs=2):
            first = await start(upload)
            waiting = await until(first, lambda now: now.failure_reason)
            assert (waiting.status, waiting.failure_reason) == (
                Status.QUEUED,
                "Waiting for a free Amazon Transcribe stream.",
            )
            second = await start(upload)
            service.quota = 1
            for job in (first, second):
                ended = await until_status(job, Status.COMPLETED)
                assert (ended.failure_reason, await heard(job)) == ("", words(20))
    assert service.most_streams == 1
    assert service.requests[0].exception == "LimitExceededException"


async def test_worker_opens_no_more_streams_than_the_limit(
    service: Service, running: Running, spoken: Spoken, settings: Any
) -> None:
    settings.TRANSCRIBE_AWS_MAX_STREAMS = 2
    upload = await in_thread(spoken)(20)
    async with running(max_jobs=5):
        for job in [await start(upload) for _ in range(5)]:
            await until_status(job, Status.COMPLETED)
    assert service.most_streams <= 2
    assert len(service.requests) == 5


async def test_a_job_of_another_engine_overtakes_jobs_waiting_for_a_stream(
    service: Service, running: Running, spoken: Spoken, settings: Any
) -> None:
    settings.TRANSCRIBE_AWS_MAX_STREAMS = 1
    service.faults = [Fault("pause", at=0.0, seconds=100_000.0)]  # the first job occupies its stream
    upload = await in_thread(spoken)(100)
    async with running(max_jobs=2):
        waiting = [await start(upload) for _ in range(2)]
        other, _ = await in_thread(lifecycle.start)(upload, engine="scripted")
        await until_status(other, Status.COMPLETED)
        assert (await Job.objects.aget(pk=waiting[1].pk)).status == Status.QUEUED


async def test_a_refused_key_fails_the_job_with_a_sentence(service: Service, running: Running, spoken: Spoken) -> None:
    next(iter(service.keys.values())).is_expired = True
    job = await start(await in_thread(spoken)(10))
    async with running():
        failed = await until_status(job, Status.FAILED)
    assert failed.failure_reason == (
        "Amazon refused the key AKIA…MPLE: the key has expired. Renew the credentials, then try again."
    )
    assert len(service.requests) == 1


async def test_a_retry_does_not_send_final_audio_again(service: Service, running: Running, spoken: Spoken) -> None:
    service.faults = [Fault("exception:BadRequestException", at=9.0)]
    job = await start(await in_thread(spoken)(40))
    async with running():
        failed = await until_status(job, Status.FAILED)
        assert failed.segment_count == 4
        await in_thread(lifecycle.retry)(failed)
        await until_status(job, Status.COMPLETED)
    assert await heard(job) == words(40)
    second = service.requests[1]
    assert second.numbers[0] == (16, 0.0), "at 8 s, the end of the fourth final"
    assert service.billed_seconds <= 20 + 15


async def test_a_retry_opens_no_stream_if_everything_is_final(
    service: Service, running: Running, spoken: Spoken
) -> None:
    job = await start(await in_thread(spoken)(20))
    async with running():
        await until_status(job, Status.COMPLETED)
        # Simulate a worker that died after the last final.
        await Job.objects.filter(pk=job.pk).aupdate(status=Status.QUEUED)
        await until_status(job, Status.COMPLETED)
    assert (len(service.requests), await heard(job)) == (1, words(20))


async def test_a_cancelled_job_closes_its_stream(service: Service, running: Running, spoken: Spoken) -> None:
    job = await start(await in_thread(spoken)(400))
    async with running():
        await until(job, lambda now: now.segment_count >= 2)
        await in_thread(lifecycle.cancel)(job)
        await until_closed(service)
    (request,) = service.requests
    assert request.end == "left"
    assert request.audio_seconds < 200, "the stream was closed before all audio was sent"


async def test_cancelling_a_job_during_its_start_leaves_no_stream(
    service: Service, running: Running, spoken: Spoken
) -> None:
    upload = await in_thread(spoken)(400)
    async with running():
        for pause in (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4):
            job = await start(upload)
            await asyncio.sleep(pause)
            await in_thread(lifecycle.cancel)(job)
            await until_closed(service)
    await until_closed(service)
    assert {request.end for request in service.requests} <= {"left"}
    assert sum(request.audio_seconds for request in service.requests) < 8 * 100


async def test_a_runner_closes_its_streams_when_it_stops(service: Service, running: Running, spoken: Spoken) -> None:
    job = await start(await in_thread(spoken)(200))
    async with running():
        await until(job, lambda now: now.segment_count >= 1)
    await until_closed(service)
    assert [request.end for request in service.requests] == ["left"]
    async with running():
        await until_status(job, Status.COMPLETED)
    assert await heard(job) == words(200)


async def test_two_channels_cut_twice_have_every_word_once(
    service: Service, running: Running, upload_of: Callable[..., Upload], alice: Any, tmp_path: Path
) -> None:
    upload = await in_thread(upload_of)(alice, two_channels(tmp_path / "stereo.wav", 40))
    service.faults = [Fault("cut", at=7.2), Fault("close", at=5.3)]
    job = await start(upload, enable_channel_identification=True)
    async with running():
        await until_status(job, Status.COMPLETED)
    stored = [segment async for segment in job.segments.order_by("start_time")]
    for channel, first in (("ch_0", 0), ("ch_1", 100)):
        mine = [word for segment in stored if segment.channel == channel for word in segment.words]
        assert [(int(word["text"].strip("w.")), word["start_time"]) for word in mine] == [
            (number + first, time) for number, time in expected_words(40)
        ]
    assert len(service.requests) == 3
    assert {segment.voice for segment in stored} == {"Channel 1", "Channel 2"}


async def test_after_a_worker_is_killed_final_audio_is_not_sent_again(
    other: Other, running: Running, spoken: Spoken, service: Service
) -> None:
    upload = await in_thread(spoken)(30)
    job, _ = await in_thread(lifecycle.start)(upload, engine="aws")
    # At a quarter of the pace the first final is stored before the worker dies.
    pace = f"{RATE / 4:g}"
    await dies_at(
        "connected",
        other(**service.environ, TRANSCRIBE_AWS_PACE=pace, DJANGO_SETTINGS_MODULE="transcribe_site.settings"),
    )
    finals = (await Job.objects.aget(pk=job.pk)).segment_count
    async with running():
        await until_status(job, Status.COMPLETED)
    assert await heard(job) == words(30)
    assert finals > 0
    assert [request.numbers[0] for request in service.requests] == [(0, 0.0), (finals * 4, 0.0)]
    await until_closed(service)
