"""The built-in engine: Moonshine's English model, on this server, without any service or set-up.

The recording is transcribed in several streams of the recogniser. After `STREAM_SECONDS` a new stream starts at the end
of the last final, because each update costs more the more lines a stream has. A retry also starts a new stream there.

The time between updates is real time, not audio time. Each update decodes the open line again. The recogniser
processes audio at nine times real time, so one update per second of audio would mean nine updates per second.
"""

import asyncio
import json
import logging
import struct
import sys
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from streaming.engines.base import Engine, EngineError, Request
from streaming.engines.moonshine.stabiliser import Stabiliser
from streaming.results import Result, spread_words
from streaming.spool import SAMPLE_BYTES, Spool
from uploads.decoder import subprocesses

logger = logging.getLogger(__name__)

PROGRAM = Path(__file__).with_name("recogniser.py")
BLOCK_SECONDS = 1.0  # of audio per request to the recogniser; updates happen between blocks
UPDATE_SECONDS = 0.33  # of real time between updates; readers can't follow more often
QUIET_SECONDS = 15.0  # of audio between updates while no viewer watches, because only finals matter then
STREAM_SECONDS = 60.0
# The recogniser loses words at the start and the end of a stream. Silence before and after prevents that.
LEAD_SECONDS, TAIL_SECONDS = 0.5, 1.0
# A line of the recogniser ends up to 0.16 s after the next one starts (measured). We subtract this from each final's
# end. The next stream starts there, and would otherwise miss the beginning of a word.
OVERLAP_SECONDS = 0.16
# A stream may also end in a pause. A word may begin just before the stream ends, so the next stream starts this much
# earlier.
LOOK_BACK_SECONDS = 1.0
ANSWER_TIMEOUT_SECONDS = 60.0  # an update takes 0.25 s; after this long we treat the process as hung


@dataclass(frozen=True)
class Update:
    """An answer of the recogniser: changed `lines` as (start, end, is_complete, text) in seconds of its stream.

    `is_open` is whether the last line is still being spoken.
    """

    lines: list[tuple[float, float, bool, str]]
    is_open: bool


class Recogniser:
    """A client of one recogniser process (`recogniser.py`). Each job uses its own and terminates it at the end."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls) -> "Recogniser":
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", str(PROGRAM)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                process_group=0,  # Ctrl-C in a terminal must reach only this process, which terminates the other
            )
        except OSError as error:  # out of memory or of process ids
            raise EngineError(
                f"The recogniser could not be started: {error.strerror}. Try again later.", permanent=False
            ) from error
        recogniser = cls(process)
        try:
            await recogniser._answer()  # sent once the model is loaded
        except BaseException:  # also on cancellation: no process may be left behind
            await recogniser.aclose()
            raise
        return recogniser

    async def begin(self, sample_rate: int) -> None:
        await self._request(b"n", struct.pack(">I", sample_rate))

    async def add(self, pcm: bytes) -> None:
        """Add audio. Returns when the recogniser has processed it, which applies back-pressure to the caller."""
        await self._request(b"a", pcm)

    async def update(self) -> Update:
        """Recognise the audio that was added since the last update."""
        return self._update_of(await self._request(b"u", b""))

    async def end(self) -> Update:
        return self._update_of(await self._request(b"e", b""))

    async def aclose(self) -> None:
        await subprocesses.end(self._process)

    @staticmethod
    def _update_of(answer: dict[str, Any]) -> Update:
        return Update([tuple(line) for line in answer["lines"]], answer["is_open"])

    async def _request(self, letter: bytes, body: bytes) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(struct.pack(">cI", letter, len(body)) + body)
            await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            pass  # the process has ended; `_answer` raises for that
        return await self._answer()

    async def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise EngineError("The recogniser stopped answering. Try again later.", permanent=False) from None
        if not line:
            raise EngineError("The recogniser ended unexpectedly. Try again later.", permanent=False)
        answer: dict[str, Any] = json.loads(line)
        return answer


class LocalEngine(Engine):
    name = "local"
    label = "Built-in"
    is_preemptible = True
    languages: ClassVar[Mapping[str, str]] = {
        "en-US": "English, US",
        "en-GB": "English, British",
        "en-AU": "English, Australian",
    }

    def __init__(self) -> None:
        # A recogniser with a loaded model waits for the next job, so that the first words appear sooner.
        self._spare: asyncio.Task[Recogniser] | None = None

    async def warm_up(self) -> None:
        if self._spare is None:
            self._spare = asyncio.create_task(Recogniser.start())

    async def aclose(self) -> None:
        spare, self._spare = self._spare, None
        if spare is not None:
            spare.cancel()  # if it is still starting, `start()` terminates its process
            (started,) = await asyncio.gather(spare, return_exceptions=True)
            if isinstance(started, Recogniser):
                await started.aclose()

    async def _acquire(self) -> Recogniser:
        """Return the spare recogniser, or start one if there is no spare or it did not start."""
        spare, self._spare = self._spare, None
        if spare is not None:
            try:
                return await spare  # cancelling the job here cancels the start too
            except EngineError:
                logger.warning("The spare recogniser did not start; starting another", exc_info=True)
        return await Recogniser.start()

    async def transcribe(self, audio: Spool, request: Request) -> AsyncGenerator[Result, None]:
        recogniser = await self._acquire()
        schedule = UpdateSchedule(request.is_watched)
        try:
            start: float | None = request.start_time
            while start is not None:
                stream = RecogniserStream(recogniser, audio, start, schedule)
                async with aclosing(stream.results()) as results:
                    async for result in results:
                        yield result
                start = stream.next_start
        finally:
            await recogniser.aclose()
            await self.warm_up()


class UpdateSchedule:
    """Decides when the next update of a job is due."""

    def __init__(self, is_watched: Callable[[], bool]) -> None:
        self._is_watched = is_watched
        self._has_words = False
        self._updated_at = 0.0
        self._added_seconds = 0.0  # of audio since the last update

    def is_due(self, added_seconds: float) -> bool:
        """Add `added_seconds` of new audio, and return whether an update is due. Always True before the first words."""
        self._added_seconds += added_seconds
        if not self._has_words or self._added_seconds >= QUIET_SECONDS:
            return True
        return time.monotonic() - self._updated_at >= UPDATE_SECONDS and self._is_watched()

    def record_update(self, *, has_words: bool) -> None:
        self._has_words = self._has_words or has_words
        self._updated_at = time.monotonic()
        self._added_seconds = 0.0


class RecogniserStream:
    """One stream of the recogniser, from `start` (seconds of the recording) to the next stream's start or the end."""

    def __init__(self, recogniser: Recogniser, audio: Spool, start: float, schedule: UpdateSchedule) -> None:
        self._recogniser = recogniser
        self._audio = audio
        self._start = start
        self._schedule = schedule
        self._partials = Stabiliser()  # for the line that is being spoken
        self.next_start: float | None = None

    async def results(self) -> AsyncGenerator[Result, None]:
        """Yield results. Afterwards `next_start` is the next stream's start, or None at the end of the recording."""
        await self._recogniser.begin(self._audio.sample_rate)
        await self._recogniser.add(self._silence(LEAD_SECONDS))
        end_of_final = reached = self._start
        async with aclosing(blocks(self._audio, self._start)) as read:
            async for block in read:
                await self._recogniser.add(block)
                seconds = len(block) / SAMPLE_BYTES / self._audio.sample_rate
                reached += seconds
                if not self._schedule.is_due(seconds):
                    continue
                update = await self._recogniser.update()
                self._schedule.record_update(has_words=bool(update.lines))
                for result in self._results_of(update):
                    if not result.is_partial:
                        end_of_final = result.end_time
                    yield result
                if end_of_final - self._start >= STREAM_SECONDS:
                    self.next_start = end_of_final
                    return
                if not update.is_open and reached - self._start >= STREAM_SECONDS:
                    self.next_start = max(end_of_final, reached - LOOK_BACK_SECONDS)
                    return
        await self._recogniser.add(self._silence(TAIL_SECONDS))
        for update in (await self._recogniser.update(), await self._recogniser.end()):
            for result in self._results_of(update):
                yield result

    def _silence(self, seconds: float) -> bytes:
        return bytes(SAMPLE_BYTES * round(seconds * self._audio.sample_rate))

    def _results_of(self, update: Update) -> list[Result]:
        """Return the changed lines as results with times of the recording."""
        offset = self._start - LEAD_SECONDS
        results = []
        for line_start, line_end, is_complete, text in update.lines:
            if not text:
                continue
            # Times within the added silence are moved to the edge of the audio.
            start = max(self._start, round(offset + line_start, 3))
            end = max(start, min(round(offset + line_end - OVERLAP_SECONDS, 3), self._audio.seconds))
            if is_complete:
                self._partials = Stabiliser()
                results.append(Result(text, start, end, is_partial=False, words=spread_words(text, start, end)))
            else:
                shown, stable = self._partials.show(text)
                results.append(Result(shown, start, end, is_partial=True, stable=stable))
        return results


async def blocks(audio: Spool, start: float) -> AsyncGenerator[bytes, None]:
    """Yield the audio from `start` (seconds) on in blocks of `BLOCK_SECONDS`; the last one may be shorter."""
    block = bytearray()
    async with aclosing(audio.chunks(start)) as chunks:
        async for chunk in chunks:
            block += chunk
            if len(block) >= BLOCK_SECONDS * audio.sample_rate * SAMPLE_BYTES:
                yield bytes(block)
                block.clear()
    if block:
        yield bytes(block)
