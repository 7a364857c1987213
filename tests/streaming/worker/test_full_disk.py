"""A worker that can't write to its disk: the job fails with a sentence, and completes when it can be written again."""

import shutil

from streaming.db import in_thread
from streaming.jobs import lifecycle
from streaming.models import Status
from tests.streaming.conftest import Running, words
from tests.streaming.worker.test_runner import Spoken, start, stored_words, until_status


async def test_job_fails_if_its_spool_cannot_be_created_and_completes_on_retry(
    running: Running, spoken: Spoken
) -> None:
    upload = await in_thread(spoken)(8)
    async with running() as worker:
        await until_status(await start(upload), Status.COMPLETED)
        folder = worker._worker.folder
        shutil.rmtree(folder)
        folder.touch()
        job = await start(upload)
        failed = await until_status(job, Status.FAILED)
        assert failed.failure_reason == "The server could not store the decoded audio on its disk: File exists."
        folder.unlink()
        await in_thread(lifecycle.retry)(failed)
        await until_status(job, Status.COMPLETED)
    assert await stored_words(job) == words(8)
