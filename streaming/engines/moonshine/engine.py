"""The engine that needs nothing but the install: Moonshine's English model, as fast as the machine allows.

A long recording is transcribed in turns: after `TURN_SECONDS` a new stream starts where the last final ended, because
the library walks all lines of a stream at every update. Resuming after a crash works the same way.

Updates follow the clock, not the audio. Each decodes the open line again, and at nine times real time one per second
of audio would be nine a second for the reader.
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
BLOCK_SECONDS = 1.0  # of audio that are added at once; between two of them an update may be due
UPDATE_SECONDS = 0.33  # of time between two updates: as often as a reader can follow
QUIET_SECONDS = 15.0  # of audio between two updates of a job that nobody watches: only finals matter
TURN_SECONDS = 60.0
# The recogniser cuts words at the edges of its stream: silence before and after keeps them.
LEAD_SECONDS, TAIL_SECONDS = 0.5, 1.0
# The recogniser ends a line a little late and begins the next a little early (measured: up to 0.16 s of overlap). A
# final ends before that, so that whoever goes on from there misses no beginning.
OVERLAP_SECONDS = 0.16
# Where nothing is being said a turn ends too; the next one looks back this far, to miss no beginning.
LOOK_BACK_SECONDS = 1.0
ANSWER_TIMEOUT_SECONDS = 60.0  # an update takes a quarter of a second: longer is a hung process


@dataclass(frozen=True)
class Heard:
    """An answer of the recogniser: `lines` as (start, end, is_complete, text) in seconds of its stream."""

    lines: list[tuple[float, float, bool, str]]
    is_open: bool


class Recogniser:
    """The recogniser's process, seen from here. It serves one job and is ended with it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls) -> "Recogniser":
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", str(PROGRAM)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                process_group=0,  # Ctrl-C in a terminal is for us, who end it in order
            )
        except OSError as error:  # no memory or no process to be had
            raise EngineError(f"The recogniser can't be started: {error.strerror}.", permanent=False) from error
        recogniser = cls(process)
        try:
            await recogniser._answer()  # the model is loaded
        except BaseException:
            await recogniser.aclose()
            raise
        return recogniser

    async def begin(self, sample_rate: int) -> None:
        await self._ask(b"n", struct.pack(">I", sample_rate))

    async def add(self, pcm: bytes) -> None:
        """Add audio. Returns when it has been searched for speech, which keeps the caller from running ahead."""
        await self._ask(b"a", pcm)

    async def update(self) -> Heard:
        """Recognise what was added since the last update."""
        return self._heard(await self._ask(b"u", b""))

    async def end(self) -> Heard:
        return self._heard(await self._ask(b"e", b""))

    async def aclose(self) -> None:
        await subprocesses.end(self._process)

    @staticmethod
    def _heard(answer: dict[str, Any]) -> Heard:
        return Heard([tuple(line) for line in answer["lines"]], answer["is_open"])

    async def _ask(self, letter: bytes, body: bytes) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(struct.pack(">cI", letter, len(body)) + body)
            await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has died; reading its answer says so below
        return await self._answer()

    async def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise EngineError("The recogniser stopped answering.", permanent=False) from None
        if not line:
            raise EngineError("The recogniser ended unexpectedly.", permanent=False)
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
        # One that has loaded its model waits for the next job, so that the first words come soon.
        self._spare: asyncio.Task[Recogniser] | None = None

    async def warm_up(self) -> None:
        if self._spare is None:
            self._spare = asyncio.create_task(Recogniser.start())

    async def aclose(self) -> None:
        spare, self._spare = self._spare, None
        if spare is not None:
            spare.cancel()  # one that is still starting is ended by its own start()
            (started,) = await asyncio.gather(spare, return_exceptions=True)
            if isinstance(started, Recogniser):
                await started.aclose()

    async def _take(self) -> Recogniser:
        """Return the spare one, or a new one where the spare is taken or did not start."""
        spare, self._spare = self._spare, None
        if spare is not None:
            try:
                return await spare  # a job that is cancelled here cancels the start too
            except EngineError:
                logger.warning("The recogniser in reserve did not start", exc_info=True)
        return await Recogniser.start()

    async def transcribe(self, audio: Spool, request: Request) -> AsyncGenerator[Result, None]:
        recogniser = await self._take()
        pace = Pace(request.is_watched)
        try:
            start: float | None = request.start_time
            while start is not None:
                turn = Turn(recogniser, audio, start, pace)
                async with aclosing(turn.results()) as results:
                    async for result in results:
                        yield result
                start = turn.next_start
        finally:
            await recogniser.aclose()
            await self.warm_up()


class Pace:
    """When the next update of a job is due."""

    def __init__(self, is_watched: Callable[[], bool]) -> None:
        self._is_watched = is_watched
        self._has_words = False
        self._updated_at = 0.0
        self._added_seconds = 0.0  # of audio since the last update

    def is_due(self, added_seconds: float) -> bool:
        """Count `added_seconds` of new audio and say whether to update now: always, until there are first words."""
        self._added_seconds += added_seconds
        if not self._has_words or self._added_seconds >= QUIET_SECONDS:
            return True
        return time.monotonic() - self._updated_at >= UPDATE_SECONDS and self._is_watched()

    def updated(self, *, has_words: bool) -> None:
        self._has_words = self._has_words or has_words
        self._updated_at = time.monotonic()
        self._added_seconds = 0.0


class Turn:
    """One stream of the recogniser, from `start` (seconds of the recording) to the next turn or the end."""

    def __init__(self, recogniser: Recogniser, audio: Spool, start: float, pace: Pace) -> None:
        self._recogniser = recogniser
        self._audio = audio
        self._start = start
        self._pace = pace
        self._partials = Stabiliser()  # of the line that is being spoken
        self.next_start: float | None = None

    async def results(self) -> AsyncGenerator[Result, None]:
        """Yield what is recognised; afterwards `next_start` says where to resume, or None at the recording's end."""
        await self._recogniser.begin(self._audio.sample_rate)
        await self._recogniser.add(self._silence(LEAD_SECONDS))
        end_of_final = reached = self._start
        async with aclosing(blocks(self._audio, self._start)) as read:
            async for block in read:
                await self._recogniser.add(block)
                seconds = len(block) / SAMPLE_BYTES / self._audio.sample_rate
                reached += seconds
                if not self._pace.is_due(seconds):
                    continue
                heard = await self._recogniser.update()
                self._pace.updated(has_words=bool(heard.lines))
                for result in self._results_of(heard):
                    if not result.is_partial:
                        end_of_final = result.end_time
                    yield result
                if end_of_final - self._start >= TURN_SECONDS:
                    self.next_start = end_of_final
                    return
                if not heard.is_open and reached - self._start >= TURN_SECONDS:
                    self.next_start = max(end_of_final, reached - LOOK_BACK_SECONDS)
                    return
        await self._recogniser.add(self._silence(TAIL_SECONDS))
        for heard in (await self._recogniser.update(), await self._recogniser.end()):
            for result in self._results_of(heard):
                yield result

    def _silence(self, seconds: float) -> bytes:
        return bytes(SAMPLE_BYTES * round(seconds * self._audio.sample_rate))

    def _results_of(self, heard: Heard) -> list[Result]:
        """Return the changed lines as results, with times of the recording."""
        offset = self._start - LEAD_SECONDS
        results = []
        for line_start, line_end, is_complete, text in heard.lines:
            if not text:
                continue
            # What is dated into the silence before or after belongs to the edge.
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
    """Yield the audio from `start` on in blocks of `BLOCK_SECONDS`."""
    block = bytearray()
    async with aclosing(audio.chunks(start)) as chunks:
        async for chunk in chunks:
            block += chunk
            if len(block) >= BLOCK_SECONDS * audio.sample_rate * SAMPLE_BYTES:
                yield bytes(block)
                block.clear()
    if block:
        yield bytes(block)
