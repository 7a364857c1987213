"""The engine of the install, on real speech."""

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
from streaming.engines.moonshine import engine as local
from streaming.engines.moonshine.engine import LocalEngine, Recogniser
from streaming.jobs import lifecycle
from streaming.models import Status
from streaming.results import Result
from streaming.spool import Spool
from tests import recordings
from tests.streaming.conftest import PATIENCE_SECONDS, Running, Watching, transcript_of
from tests.words import BECKETT, LARGEST_ERROR, TWO_CITIES, bare, word_error_rate
from uploads.models import Upload

pytestmark = pytest.mark.timeout(600)  # seconds: the recogniser lets every other process go first

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


async def hear(engine: LocalEngine, spool: Spool, start_time: float = 0.0) -> list[Result]:
    async with aclosing(engine.transcribe(spool, Request("en-US", {}, start_time))) as results:
        return [result async for result in results]


@pytest.fixture
async def engine() -> AsyncIterator[LocalEngine]:
    engine = LocalEngine()
    yield engine
    await engine.aclose()


def finals(results: list[Result]) -> list[Result]:
    return [result for result in results if not result.is_partial]


async def test_real_speech_becomes_the_right_words_with_times(engine: LocalEngine, tmp_path: Path) -> None:
    async with spool_of(recordings.speech("two_cities"), tmp_path) as spool:
        results = await hear(engine, spool)
    lines = finals(results)
    assert word_error_rate(TWO_CITIES, " ".join(line.text for line in lines)) <= LARGEST_ERROR["two_cities"]
    assert not any(",," in line.text for line in lines), 'as the model writes it after "In short"'
    assert results[0].is_partial, "the first words do not wait for the end of their line"
    for line, following in pairwise(lines):
        assert line.start_time < line.end_time <= following.start_time + 0.05
    for line in lines:
        assert [word.text for word in line.words] == line.text.split()
        assert line.words[0].start_time == pytest.approx(line.start_time, abs=0.001)
        assert line.words[-1].end_time == pytest.approx(line.end_time, abs=0.001)
    assert lines[0].start_time == pytest.approx(1.0, abs=0.5)
    assert lines[-1].end_time == pytest.approx(42.0, abs=1.0)


async def test_the_last_line_of_a_recording_cut_in_a_word_ends_with_the_recording(
    engine: LocalEngine, tmp_path: Path
) -> None:
    """The recogniser dates the last line of these 20 s into the silence that follows them."""
    with wave.open(str(recordings.speech("two_cities"))) as whole, wave.open(str(tmp_path / "cut.wav"), "wb") as cut:
        cut.setparams(whole.getparams())
        cut.writeframes(whole.readframes(20 * whole.getframerate()))
    async with spool_of(tmp_path / "cut.wav", tmp_path) as spool:
        results = await hear(engine, spool)
        assert spool.seconds == 20.0
    last = finals(results)[-1]
    assert last.end_time == last.words[-1].end_time == 20.0
    assert all(result.end_time <= 20.0 for result in results)
    assert all(word.start_time < word.end_time for word in last.words)


async def test_partials_rarely_change_text_that_is_shown(
    engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an update for each second of audio, the recogniser's own texts change shown words in most updates."""
    monkeypatch.setattr(local, "UPDATE_SECONDS", 0.0)
    async with spool_of(recordings.speech("two_cities"), tmp_path) as spool:
        results = await hear(engine, spool)
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


async def test_updates_follow_the_clock_and_not_the_audio(
    engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a clock that stands, only the first words and `QUIET_SECONDS` of audio make updates."""
    monkeypatch.setattr(local.time, "monotonic", lambda: 1000.0)
    updated_at = []
    update = Recogniser.update

    async def noting(self: Recogniser) -> local.Heard:
        updated_at.append(spool.position)
        return await update(self)

    monkeypatch.setattr(Recogniser, "update", noting)
    async with spool_of(recordings.speech("two_cities"), tmp_path) as spool:
        lines = finals(await hear(engine, spool))
    assert word_error_rate(TWO_CITIES, " ".join(line.text for line in lines)) <= LARGEST_ERROR["two_cities"]
    first = [at for at in updated_at if at < 5]
    assert first == pytest.approx([1.0, 2.0], abs=0.2), "each second until there are words, from 1.5 s on"
    assert len(updated_at) == len(first) + 44 // 15 + 1


@pytest.mark.parametrize(("is_watched", "is_due"), [(True, True), (False, False)])
def test_a_job_that_nobody_watches_saves_its_partials(
    is_watched: bool, is_due: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(local.time, "monotonic", lambda: now)
    pace = local.Pace(lambda: is_watched)
    assert pace.is_due(1.0), "before the first words every second of audio counts"
    pace.updated(has_words=True)
    now += local.UPDATE_SECONDS
    assert pace.is_due(1.0) == is_due
    assert pace.is_due(local.QUIET_SECONDS - 1.0), "finals come all the same"


@pytest.mark.parametrize("suffix", ["wav", "mp3", "m4a", "ogg", "flac", "webm", "mp4", "mkv"])
async def test_every_format_becomes_the_right_words(
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


async def test_a_conversation_becomes_the_right_words(engine: LocalEngine, tmp_path: Path) -> None:
    async with spool_of(recordings.speech("endgame_nagg_nell"), tmp_path) as spool:
        heard = " ".join(" ".join(bare(line.text)) for line in finals(await hear(engine, spool)))
    for phrase in ("do you hear me", "what are you talking about", "do you remember the day", "fetched you from"):
        assert phrase in heard


async def test_going_on_after_any_final_misses_no_word_and_repeats_none(engine: LocalEngine, tmp_path: Path) -> None:
    async with spool_of(recordings.speech("two_cities"), tmp_path) as spool:
        lines = finals(await hear(engine, spool))
        for count in (2, 5, 9):
            rest = finals(await hear(engine, spool, lines[count - 1].end_time))
            whole = " ".join(line.text for line in [*lines[:count], *rest])
            assert word_error_rate(TWO_CITIES, whole) <= LARGEST_ERROR["two_cities"] + 0.03, count
            assert rest[0].start_time >= lines[count - 1].end_time


async def test_a_long_recording_is_heard_in_turns_and_no_word_is_lost_between_them(
    engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "TURN_SECONDS", 8.0)
    async with spool_of(recordings.speech("two_cities"), tmp_path) as spool:
        lines = finals(await hear(engine, spool))
    assert word_error_rate(TWO_CITIES, " ".join(line.text for line in lines)) <= LARGEST_ERROR["two_cities"] + 0.03
    assert [line.start_time for line in lines] == sorted(line.start_time for line in lines)


async def test_a_turn_ends_in_silence_too(engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "TURN_SECONDS", 5.0)
    begun = 0
    begin = Recogniser.begin

    async def counting(self: Recogniser, sample_rate: int) -> None:
        nonlocal begun
        begun += 1
        await begin(self, sample_rate)

    monkeypatch.setattr(Recogniser, "begin", counting)
    async with spool_of(recordings.silence(21.0), tmp_path) as spool:
        assert await hear(engine, spool) == []
    assert begun >= 4


async def test_an_8_khz_recording_is_heard_as_it_is(engine: LocalEngine, tmp_path: Path) -> None:
    samples = np.frombuffer(recordings.speech("beckett").read_bytes()[44:], "<i2")
    pairs = samples[: len(samples) // 2 * 2].reshape(-1, 2).mean(axis=1).astype("<i2")
    spool = Spool(tmp_path / "spool.pcm", 8_000, 1)
    spool.path.write_bytes(pairs.tobytes())
    spool.samples, spool.is_complete = len(pairs), True
    lines = finals(await hear(engine, spool))
    assert word_error_rate(BECKETT, " ".join(line.text for line in lines)) <= 0.5
    assert lines[-1].end_time == pytest.approx(9.2, abs=0.6)


async def test_two_jobs_at_once_hear_what_each_hears_alone(engine: LocalEngine, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with (
        spool_of(recordings.encode(recordings.speech("two_cities"), "wav", 15.0), tmp_path / "a") as cities,
        spool_of(recordings.speech("beckett"), tmp_path / "b") as beckett,
    ):
        alone = finals(await hear(engine, cities))
        beside, _ = await asyncio.gather(hear(engine, cities), hear(engine, beckett))
    assert [line.text for line in finals(beside)] == [line.text for line in alone]


async def test_a_recogniser_that_is_killed_costs_no_word(
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
    heard = " ".join(await in_thread(transcript_of)(job))
    assert word_error_rate(TWO_CITIES, heard) <= LARGEST_ERROR["two_cities"] + 0.03
    assert len(started) >= 2


async def test_no_process_is_left_when_a_job_is_cut_short(engine: LocalEngine, tmp_path: Path) -> None:
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
