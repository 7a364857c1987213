"""The built-in engine, with recordings of real speech."""

import asyncio
import os
import signal
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from django.contrib.auth.models import User

from streaming.db import in_thread
from streaming.engines.base import Request
from streaming.engines.moonshine import engine as moonshine
from streaming.engines.moonshine.engine import LocalEngine, Recogniser
from streaming.jobs import lifecycle
from streaming.models import Status
from streaming.results import Result
from streaming.spool import Spool
from tests import recordings
from tests.streaming.conftest import PATIENCE_SECONDS, Running, Watching, transcript_of
from tests.words import BECKETT, LARGEST_ERROR, TWO_CITIES, bare, word_error_rate
from uploads.models import Upload

pytestmark = pytest.mark.timeout(600)  # seconds; long, because the recogniser runs at a low priority

RATE = 16_000


@asynccontextmanager
async def spool_of(path: Path, folder: Path) -> AsyncIterator[Spool]:
    spool = Spool(folder / "spool.pcm", RATE, 1)
    spool.path.touch()
    filling = asyncio.create_task(spool.fill(path))
    try:
        yield spool
    finally:
        filling.cancel()
        await asyncio.gather(filling, return_exceptions=True)


async def transcribe(engine: LocalEngine, spool: Spool, start_time: float = 0.0) -> list[Result]:
    async with aclosing(engine.transcribe(spool, Request("en-US", {}, start_time))) as results:
        return [result async for result in results]


@pytest.fixture
async def engine() -> AsyncIterator[LocalEngine]:
    engine = LocalEngine()
    yield engine
    await engine.aclose()


def finals(results: list[Result]) -> list[Result]:
    return [result for result in results if not result.is_partial]


async def test_engine_transcribes_real_speech_with_correct_words_and_times(engine: LocalEngine, tmp_path: Path) -> None:
    async with spool_of(recordings.speech("two_cities"), tmp_path) as spool:
        results = await transcribe(engine, spool)
    lines = finals(results)
    assert word_error_rate(TWO_CITIES, " ".join(line.text for line in lines)) <= LARGEST_ERROR["two_cities"]
    assert not any(",," in line.text for line in lines), 'the model repeats a comma after "In short"'
    assert results[0].is_partial, "the first words appear before their line is complete"
    for line, following in pairwise(lines):
        assert line.start_time < line.end_time <= following.start_time + 0.05
    for line in lines:
        assert [word.text for word in line.words] == line.text.split()
        assert line.words[0].start_time == pytest.approx(line.start_time, abs=0.001)
        assert line.words[-1].end_time == pytest.approx(line.end_time, abs=0.001)
    assert lines[0].start_time == pytest.approx(1.0, abs=0.5)
    assert lines[-1].end_time == pytest.approx(42.0, abs=1.0)


async def test_last_line_of_a_truncated_recording_ends_with_the_recording(engine: LocalEngine, tmp_path: Path) -> None:
    """For these 20 s the recogniser reports an end of the last line within the silence that the engine adds."""
    with wave.open(str(recordings.speech("two_cities"))) as whole, wave.open(str(tmp_path / "cut.wav"), "wb") as cut:
        cut.setparams(whole.getparams())
        cut.writeframes(whole.readframes(20 * whole.getframerate()))
    async with spool_of(tmp_path / "cut.wav", tmp_path) as spool:
        results = await transcribe(engine, spool)
        assert spool.seconds == 20.0
    last = finals(results)[-1]
    assert last.end_time == last.words[-1].end_time == 20.0
    assert all(result.end_time <= 20.0 for result in results)
    assert all(word.start_time < word.end_time for word in last.words)


async def test_partials_rarely_change_shown_text(
    engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One update per second of audio. Without the stabiliser most updates would change shown words."""
    monkeypatch.setattr(moonshine, "UPDATE_SECONDS", 0.0)
    async with spool_of(recordings.speech("two_cities"), tmp_path) as spool:
        results = await transcribe(engine, spool)
    shown, promised, updates, changes, broken = "", "", 0, 0, 0
    for result in results:
        if result.is_partial:
            assert result.text.startswith(promised)
            assert not result.text.endswith((".", ","))
            promised = result.text[: result.stable]
        else:
            broken += not result.text.startswith(promised)
        updates += result.text != shown
        changes += not result.text.startswith(shown)
        shown, promised = (result.text, promised) if result.is_partial else ("", "")
    assert updates > 35
    assert changes / updates < 0.15
    assert broken == 0


async def test_updates_follow_real_time_and_not_the_audio(
    engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a clock that stands still, updates come only before the first words and after `QUIET_SECONDS` of audio."""
    monkeypatch.setattr(moonshine.time, "monotonic", lambda: 1000.0)
    updated_at = []
    update = Recogniser.update

    async def noting(self: Recogniser) -> moonshine.Update:
        updated_at.append(spool.position)
        return await update(self)

    monkeypatch.setattr(Recogniser, "update", noting)
    async with spool_of(recordings.speech("two_cities"), tmp_path) as spool:
        lines = finals(await transcribe(engine, spool))
    assert word_error_rate(TWO_CITIES, " ".join(line.text for line in lines)) <= LARGEST_ERROR["two_cities"]
    first = [at for at in updated_at if at < 5]
    assert first == pytest.approx([1.0, 2.0], abs=0.2), "an update per second of audio until the first words at 1.5 s"
    assert len(updated_at) == len(first) + 44 // 15 + 1


@pytest.mark.parametrize(("is_watched", "is_due"), [(True, True), (False, False)])
def test_engine_skips_partials_while_no_viewer_watches(
    is_watched: bool, is_due: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(moonshine.time, "monotonic", lambda: now)
    schedule = moonshine.UpdateSchedule(lambda: is_watched)
    assert schedule.is_due(1.0), "updates are always due before the first words"
    schedule.record_update(has_words=True)
    now += moonshine.UPDATE_SECONDS
    assert schedule.is_due(1.0) == is_due
    assert schedule.is_due(moonshine.QUIET_SECONDS - 1.0), "finals are published without viewers too"


@pytest.mark.parametrize("suffix", ["wav", "mp3", "m4a", "ogg", "flac", "webm", "mp4", "mkv"])
async def test_every_file_format_is_transcribed_with_the_correct_words(
    running: Running, watching: Watching, upload_of: Callable[..., Upload], alice: User, suffix: str
) -> None:
    upload = await in_thread(upload_of)(alice, recordings.encode(recordings.speech("beckett"), suffix))
    job, _ = await in_thread(lifecycle.start)(upload, engine="local")
    async with running(), watching(alice, job) as viewer:
        await viewer.until_status("completed")
    stored = await in_thread(transcript_of)(job)
    assert viewer.words == stored
    assert word_error_rate(BECKETT, " ".join(stored)) <= LARGEST_ERROR["beckett"]
    assert any(event["type"] == "partial" for event in viewer.events)


async def test_a_conversation_is_transcribed_with_the_correct_words(engine: LocalEngine, tmp_path: Path) -> None:
    async with spool_of(recordings.speech("endgame_nagg_nell"), tmp_path) as spool:
        text = " ".join(" ".join(bare(line.text)) for line in finals(await transcribe(engine, spool)))
    for phrase in ("do you hear me", "what are you talking about", "do you remember the day", "fetched you from"):
        assert phrase in text


async def test_resuming_after_any_final_neither_loses_nor_repeats_words(engine: LocalEngine, tmp_path: Path) -> None:
    async with spool_of(recordings.speech("two_cities"), tmp_path) as spool:
        lines = finals(await transcribe(engine, spool))
        for count in (2, 5, 9):
            rest = finals(await transcribe(engine, spool, lines[count - 1].end_time))
            whole = " ".join(line.text for line in [*lines[:count], *rest])
            assert word_error_rate(TWO_CITIES, whole) <= LARGEST_ERROR["two_cities"] + 0.03, count
            assert rest[0].start_time >= lines[count - 1].end_time


async def test_no_word_is_lost_between_two_recogniser_streams(
    engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moonshine, "STREAM_SECONDS", 8.0)
    async with spool_of(recordings.speech("two_cities"), tmp_path) as spool:
        lines = finals(await transcribe(engine, spool))
    assert word_error_rate(TWO_CITIES, " ".join(line.text for line in lines)) <= LARGEST_ERROR["two_cities"] + 0.03
    assert [line.start_time for line in lines] == sorted(line.start_time for line in lines)


async def test_a_recogniser_stream_also_ends_in_silence(
    engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moonshine, "STREAM_SECONDS", 5.0)
    begun = 0
    begin = Recogniser.begin

    async def counting(self: Recogniser, sample_rate: int) -> None:
        nonlocal begun
        begun += 1
        await begin(self, sample_rate)

    monkeypatch.setattr(Recogniser, "begin", counting)
    async with spool_of(recordings.silence(21.0), tmp_path) as spool:
        assert await transcribe(engine, spool) == []
    assert begun >= 4


async def test_an_8_khz_recording_is_transcribed_without_resampling(engine: LocalEngine, tmp_path: Path) -> None:
    samples = np.frombuffer(recordings.speech("beckett").read_bytes()[44:], "<i2")
    pairs = samples[: len(samples) // 2 * 2].reshape(-1, 2).mean(axis=1).astype("<i2")
    spool = Spool(tmp_path / "spool.pcm", 8_000, 1)
    spool.path.write_bytes(pairs.tobytes())
    spool.samples, spool.is_complete = len(pairs), True
    lines = finals(await transcribe(engine, spool))
    assert word_error_rate(BECKETT, " ".join(line.text for line in lines)) <= 0.5
    assert lines[-1].end_time == pytest.approx(9.2, abs=0.6)


async def test_two_jobs_at_once_get_the_same_text_as_each_alone(engine: LocalEngine, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with (
        spool_of(recordings.encode(recordings.speech("two_cities"), "wav", 15.0), tmp_path / "a") as cities,
        spool_of(recordings.speech("beckett"), tmp_path / "b") as beckett,
    ):
        alone = finals(await transcribe(engine, cities))
        beside, _ = await asyncio.gather(transcribe(engine, cities), transcribe(engine, beckett))
    assert [line.text for line in finals(beside)] == [line.text for line in alone]


async def test_a_killed_recogniser_loses_no_word(
    running: Running, upload_of: Callable[..., Upload], alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Recogniser] = []
    start = Recogniser.start

    async def noting() -> Recogniser:
        started.append(await start())
        return started[-1]

    monkeypatch.setattr(Recogniser, "start", noting)
    upload = await in_thread(upload_of)(alice, recordings.speech("two_cities"))
    job, _ = await in_thread(lifecycle.start)(upload, engine="local")
    async with running():
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await type(job).objects.aget(pk=job.pk)).segment_count < 3:
                await asyncio.sleep(0.02)
        os.kill(started[0]._process.pid, signal.SIGKILL)
        async with asyncio.timeout(3 * PATIENCE_SECONDS):
            while (now := await type(job).objects.aget(pk=job.pk)).status == Status.RUNNING:
                await asyncio.sleep(0.05)
    assert (now.status, now.failure_reason) == (Status.COMPLETED, "")
    text = " ".join(await in_thread(transcript_of)(job))
    assert word_error_rate(TWO_CITIES, text) <= LARGEST_ERROR["two_cities"] + 0.03
    assert len(started) >= 2


async def test_closing_the_engine_mid_job_leaves_no_process(engine: LocalEngine, tmp_path: Path) -> None:
    await engine.warm_up()
    async with (
        spool_of(recordings.speech("two_cities"), tmp_path) as spool,
        aclosing(engine.transcribe(spool, Request("en-US"))) as results,
    ):
        await anext(results)
    await engine.aclose()
    assert [program for program in children() if "recogniser.py" in program] == []


def children() -> list[str]:
    """Return the command lines of this process's children."""
    listed = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return [Path(f"/proc/{child}/cmdline").read_text() for child in listed]
