"""`transcribe_with_retries` clips the results of any engine to the recording."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import ClassVar

import pytest

from streaming.engines.base import Engine, Request
from streaming.results import Result, Word
from streaming.spool import Spool, open_spool_of_file
from streaming.worker.retry import transcribe_with_retries
from tests import recordings


class Overshooting(Engine):
    """Reads the whole recording, then yields words with times after its end."""

    name = "overshooting"
    label = "Overshooting"
    languages: ClassVar = {"en-US": "English, US"}

    async def transcribe(self, audio: Spool, request: Request) -> AsyncGenerator[Result, None]:
        async for _ in audio.chunks(request.start_time):
            pass
        end = audio.seconds
        before = Word("before", end - 1.0, end - 0.5)
        yield Result("before", end - 1.0, end - 0.5, is_partial=False, words=(before,))
        for is_partial in (True, False):
            words = (Word("last", end - 0.25, end + 0.14), Word("word", end + 0.2, end + 0.4))
            yield Result("last word", end - 0.25, end + 0.4, is_partial=is_partial, words=words)
        # A word may end later than its line.
        yield Result("late", end - 0.1, end, is_partial=False, words=(Word("late", end - 0.1, end + 0.05),))


@pytest.mark.parametrize("seconds", [2.0, 2.0004, 2.1239])
async def test_results_and_words_are_clipped_to_the_end_of_the_recording(tmp_path: Path, seconds: float) -> None:
    path = recordings.tone(seconds)
    async with open_spool_of_file(path, 16_000, tmp_path) as spool:
        results = [result async for result in transcribe_with_retries(Overshooting(), spool, Request("en-US"))]
    assert spool.seconds == pytest.approx(seconds, abs=0.0001)
    end = int(spool.seconds * 1000) / 1000
    assert [(result.end_time, [word.end_time for word in result.words]) for result in results] == [
        (spool.seconds - 0.5, [spool.seconds - 0.5]),
        (end, [end, end]),
        (end, [end, end]),
        (end, [end]),
    ]
    for result in results:
        assert result.start_time <= result.end_time
        assert all(word.start_time <= word.end_time for word in result.words)
