"""One stream to Amazon Transcribe, from its first chunk to the end of its answer."""

import asyncio
import time
import uuid
import wave
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any

from django.conf import settings

from streaming.engines.aws import account as aws_account
from streaming.engines.aws import options
from streaming.engines.aws.account import Account
from streaming.engines.aws.failures import failure
from streaming.engines.aws.http2 import CutOff
from streaming.engines.aws.messages import Unreadable
from streaming.engines.aws.results import Interpreter, Timeline
from streaming.engines.aws.transport import Stream, open_stream
from streaming.engines.base import EngineError, Request
from streaming.engines.options import shown
from streaming.results import Result
from streaming.spool import CHUNK_SECONDS, SAMPLE_BYTES, Spool
from uploads.decoder.client import DecodingError
from uploads.samples import sample_path

# Seconds of the wall.
START_SECONDS = 15.0
DRAIN_SECONDS = 30.0  # from the end of the sound to the end of the answer
TEST_SECONDS = 3.0  # of speech for a test of the connection; Amazon bills 15 for it
# Seconds of sound, so that they hold at any pace.
BURST_CHUNKS = 4  # are sent at once, the last of them 0.3 s early: fewer and larger writes
UNSENT_SECONDS = 1.0  # the most that waits for the service to take it
STARVED_SECONDS = 5.0  # without sound; the service ends a stream after 15
LONGEST_SILENCE_SECONDS = 15.0  # of a service that answers: results pause for so long
STUCK_SECONDS = 30.0  # of sound since the last answer, with words still open; it pauses for 15 at times


class Session:
    """Sends what is asked for and calls `tell` with each result. `run()` once; cancelled, it closes the stream.

    Three tasks share the stream: one sends sound, one reads what was heard, one looks that both get on. Whichever
    fails ends all three.
    """

    def __init__(
        self, audio: Spool, request: Request, tell: Callable[[Result], None], *, keeps_unconfirmed: bool
    ) -> None:
        self._audio = audio
        self._request = request
        self._tell = tell
        self._pace = settings.TRANSCRIBE_AWS_PACE
        self._timeline = Timeline(request.start_time)
        self._interpreter = Interpreter(request, self._timeline)
        self._frame_bytes = SAMPLE_BYTES * audio.channels
        self._bytes_a_second = audio.sample_rate * self._frame_bytes
        self._starved_since: float | None = None  # while the next chunk is waited for
        self._answered_at = 0.0  # seconds of the stream
        self._broken_sound: DecodingError | OSError | None = None
        self._keeps_unconfirmed = keeps_unconfirmed

    async def run(self) -> bool:
        """Return whether all that was heard is final: without `keeps_unconfirmed` the last words may be missing.

        Raises `EngineError`; and `DecodingError` and `OSError` for the sound, after what came before was heard.
        """
        async with aclosing(self._audio.chunks(self._request.start_time)) as chunks:
            first = await anext(chunks, None)
            if first is None:
                return True  # all of it is final, and an empty stream would cost as much as 15 seconds
            parameters = options.parameters(self._request.language_code, self._request.options)
            async with opened(parameters, self._audio.sample_rate) as (stream, _), asyncio.TaskGroup() as group:
                ending = asyncio.timeout(None)
                sending = group.create_task(self._send(stream, first, chunks, ending))
                watching = group.create_task(self._watch(stream))
                try:
                    async with ending:
                        await self._hear(stream)
                except TimeoutError:
                    if self._timeline.sent_seconds - self._answered_at > LONGEST_SILENCE_SECONDS:
                        raise EngineError("Amazon Transcribe has stopped answering.", permanent=False) from None
                    # Else it only does not end its answer: what it has said counts.
                await sending
                watching.cancel()
                # A service that stopped listening may have missed the end, or only says so to be polite.
                was_stopped = await stream.was_stopped()
        is_complete = not self._interpreter.has_open and not was_stopped
        if self._keeps_unconfirmed:
            for result in self._interpreter.unconfirmed():
                self._tell(result)
        if self._broken_sound is not None and (is_complete or self._keeps_unconfirmed):
            raise self._broken_sound
        return is_complete or self._keeps_unconfirmed

    async def _send(
        self, stream: Stream, first: bytes, chunks: AsyncGenerator[bytes, None], ending: asyncio.Timeout
    ) -> None:
        """Send the sound at the speed at which it was spoken, then its end."""
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        chunk: bytes | None = first
        sent = 0
        while chunk is not None:
            # What is signed too early is no longer valid when the service comes to it.
            if sent % BURST_CHUNKS == 0:
                early = began_at + self._timeline.sent_seconds / self._pace - loop.time()
                if early > 0:
                    await asyncio.sleep(early)
            sent += 1
            await self._put(stream, chunk)
            self._timeline.add(len(chunk) / self._bytes_a_second)
            self._starved_since = loop.time()
            try:
                chunk = await anext(chunks, None)
            except (DecodingError, OSError) as error:
                self._broken_sound = error  # what came before it is good, and wants to be heard to the end
                chunk = None
            self._starved_since = None
        await stream.end()
        ending.reschedule(loop.time() + DRAIN_SECONDS)

    async def _put(self, stream: Stream, chunk: bytes) -> None:
        try:
            await stream.send(chunk, round(UNSENT_SECONDS * self._bytes_a_second), STUCK_SECONDS / self._pace)
        except TimeoutError:
            raise EngineError("Amazon Transcribe takes no more sound.", permanent=False) from None

    async def _hear(self, stream: Stream) -> None:
        async for results in stream.results():
            self._answered_at = self._timeline.sent_seconds
            for heard in results:
                for result in self._interpreter.take(heard):
                    self._tell(result)
        if not stream.has_sent_end:
            raise CutOff("the service ended the stream before the audio had ended")
        if self._interpreter.is_unreadable:
            raise Unreadable("results without a text")

    async def _watch(self, stream: Stream) -> None:
        """Send silence while there is no sound to send; give up a service that has stopped hearing."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(STARVED_SECONDS / self._pace / 4)
            since = self._starved_since
            if since is not None and loop.time() - since >= STARVED_SECONDS / self._pace:
                samples = round(self._audio.sample_rate * CHUNK_SECONDS)
                await self._put(stream, bytes(samples * self._frame_bytes))
                self._timeline.add_silence(CHUNK_SECONDS)
                if self._starved_since is not None:
                    self._starved_since = loop.time()
            if self._interpreter.has_open and self._timeline.sent_seconds - self._answered_at > STUCK_SECONDS:
                raise EngineError("Amazon Transcribe has stopped answering.", permanent=False)


@asynccontextmanager
async def opened(parameters: Mapping[str, Any], sample_rate: int) -> AsyncIterator[tuple[Stream, Account]]:
    """Open a stream with fresh credentials and a session of its own; leave it at the end.

    Whatever goes wrong, inside too, is raised as an `EngineError` with a sentence.
    """
    deadline = asyncio.get_running_loop().time() + START_SECONDS
    try:
        async with asyncio.timeout_at(deadline):
            account = await asyncio.to_thread(aws_account.resolve)
    except TimeoutError as error:
        raise EngineError("AWS gave no credentials in time.", permanent=False) from error
    media = {"media_sample_rate_hz": sample_rate, "media_encoding": "pcm", "session_id": str(uuid.uuid4())}
    is_open = False
    try:
        async with AsyncExitStack() as stack:
            async with asyncio.timeout_at(deadline):  # a start can hang for ever
                stream = await stack.enter_async_context(open_stream(account, {**parameters, **media}))
            is_open = True
            yield stream, account
    except Exception as error:
        cause: Exception = error
        while isinstance(cause, ExceptionGroup):
            cause = cause.exceptions[0]  # the one that ended the others
        raise failure(cause, account, is_open=is_open) from error


async def test_connection() -> str:
    """Send some seconds of speech, interpret the answer as a job does, and return a sentence. Raises `EngineError`."""
    began_at = time.monotonic()
    audio, sample_rate = await asyncio.to_thread(_test_audio)
    timeline = Timeline(0.0)
    interpreter = Interpreter(Request("en-US"), timeline)
    chunk_bytes = round(sample_rate * CHUNK_SECONDS) * SAMPLE_BYTES
    words: list[str] = []
    async with opened(options.parameters("en-US", {}), sample_rate) as (stream, account):
        for begin in range(0, len(audio), chunk_bytes):
            chunk = audio[begin : begin + chunk_bytes]
            await stream.send(chunk, chunk_bytes, START_SECONDS)
            timeline.add(len(chunk) / SAMPLE_BYTES / sample_rate)
            await asyncio.sleep(CHUNK_SECONDS / settings.TRANSCRIBE_AWS_PACE)  # the service wants it in real time
        await stream.end()
        async with asyncio.timeout(START_SECONDS):
            async for results in stream.results():
                for result in (ours for heard in results for ours in interpreter.take(heard)):
                    words += [] if result.is_partial else [word.text for word in result.words]
        if interpreter.is_unreadable:
            raise Unreadable("results without a text")
    took = time.monotonic() - began_at
    recognised = f" It recognised “{shown(' '.join(words))}”." if words else ""
    place = f"Amazon Transcribe in {account.region}"
    return f"{place} took the key {account.key} and answered in {took:.1f} s.{recognised}"


def _test_audio() -> tuple[bytes, int]:
    """Return the beginning of the sample, or silence where the site has none, with its rate in Hz."""
    path = sample_path()
    if path is None:
        return bytes(round(16_000 * TEST_SECONDS) * SAMPLE_BYTES), 16_000
    with wave.open(str(path)) as recording:
        return recording.readframes(round(recording.getframerate() * TEST_SECONDS)), recording.getframerate()
