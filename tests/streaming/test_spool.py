"""The spool: its readers end when the decoder ends for any reason, and a job whose spool fails gets a sentence."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from streaming import spool as spool_module
from streaming.db import in_thread
from streaming.models import Status
from streaming.spool import Spool, open_spool_of_file
from tests.recordings import numbers
from tests.streaming.conftest import PATIENCE_SECONDS, Running
from tests.streaming.worker.test_runner import Spoken, start, until_status
from uploads.decoder.client import DecodingError


@asynccontextmanager
async def no_decoder_free() -> AsyncIterator[AsyncExitStack]:
    """Occupy all decoder slots; `aclose` of the yielded stack releases them."""
    async with AsyncExitStack() as stack:
        for _ in range(spool_module.MOST_DECODERS):
            await stack.enter_async_context(spool_module.decoders())
        yield stack


async def read_all(spool: Spool) -> int:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return sum([len(chunk) async for chunk in spool.chunks()])


async def test_reader_ends_when_the_spool_is_deleted_before_decoding(tmp_path: Path) -> None:
    folder = tmp_path / "spools"
    async with (
        no_decoder_free() as decoders,
        open_spool_of_file(numbers(tmp_path / "numbers.wav", 8), 16_000, folder) as spool,
    ):
        reading = asyncio.create_task(read_all(spool))
        await asyncio.sleep(0)
        shutil.rmtree(folder)
        await decoders.aclose()
        with pytest.raises((DecodingError, FileNotFoundError)):
            await reading


async def test_reader_ends_when_the_decoder_is_cancelled(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.pcm", 16_000, 1)
    spool.path.touch()
    async with no_decoder_free():
        filling = asyncio.create_task(spool.fill(numbers(tmp_path / "numbers.wav", 8)))
        reading = asyncio.create_task(read_all(spool))
        await asyncio.sleep(0)
        filling.cancel()
        await asyncio.wait({filling})
        assert await reading == 0


async def test_reader_raises_when_the_spool_is_truncated(tmp_path: Path) -> None:
    async with open_spool_of_file(numbers(tmp_path / "numbers.wav", 8), 16_000, tmp_path) as spool:
        assert await read_all(spool) == 8 * 16_000
        os.truncate(spool.path, 16_000)
        with pytest.raises(OSError, match="incomplete"):
            await read_all(spool)


async def test_job_whose_spool_is_deleted_fails_with_a_sentence(running: Running, spoken: Spoken) -> None:
    upload = await in_thread(spoken)(8)
    async with no_decoder_free() as decoders, running() as worker:
        job = await start(upload)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not list(worker._worker.folder.glob("*.pcm")):
                await asyncio.sleep(0.01)
        shutil.rmtree(worker._worker.folder)
        await decoders.aclose()
        failed = await until_status(job, Status.FAILED)
    assert "decoded audio" in failed.failure_reason
