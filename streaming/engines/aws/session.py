"""Runs one stream to Amazon Transcribe, from its first chunk to the end of its answer. `engine.py` calls it.

It sends audio in real time, converts the results, and ends the stream if the service stops answering. The connection
test of the admin uses it too.
"""

import asyncio
import time
import uuid
import wave
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any

from django.conf import settings

from streaming.engines.aws import options
from streaming.engines.aws.account import Account, resolve_account
from streaming.engines.aws.failures import failure
from streaming.engines.aws.http2 import StreamInterrupted
from streaming.engines.aws.messages import MalformedAnswer
from streaming.engines.aws.results import Interpreter, Timeline
from streaming.engines.aws.transport import Stream, open_stream
from streaming.engines.base import EngineError, Request
from streaming.engines.options import abbreviated
from streaming.results import Result
from streaming.spool import CHUNK_SECONDS, SAMPLE_BYTES, Spool
from uploads.decoder.client import DecodingError
from uploads.samples import sample_path

# Limits in real time.
START_SECONDS = 15.0
DRAIN_SECONDS = 30.0  # from the end of the audio to the end of the answer
TEST_SECONDS = 3.0  # of speech in a connection test; AWS bills 15 s for it
# Limits in seconds of audio, so that they scale with TRANSCRIBE_AWS_PACE.
BURST_CHUNKS = 4  # this many chunks are sent together, for fewer and larger writes; the last one is 0.3 s early
UNSENT_SECONDS = 1.0  # the most unsent audio that is buffered; the sender then waits for the service
# If the decoder yields no audio for so long, we send silence: the service ends a stream that receives nothing for 15 s.
STARVED_SECONDS = 5.0
LONGEST_SILENCE_SECONDS = 15.0  # a working service may send no results for so long
STUCK_SECONDS = 30.0  # if a partial waits for its final and no results come for so much audio, the service has failed


class Session:
    """Sends the requested audio and calls `publish` with each result.

    Call `run()` once. Cancelling it closes the stream.

    Three tasks share the stream: one sends audio, one receives results, one monitors both. If one of them fails, the
    task group cancels the others.
    """

    def __init__(
        self, audio: Spool, request: Request, publish: Callable[[Result], None], *, keeps_unconfirmed: bool
    ) -> None:
        self._audio = audio
        self._request = request
        self._publish = publish
        self._pace = settings.TRANSCRIBE_AWS_PACE
        self._timeline = Timeline(request.start_time)
        self._interpreter = Interpreter(request, self._timeline)
        self._frame_bytes = SAMPLE_BYTES * audio.channels
        self._bytes_a_second = audio.sample_rate * self._frame_bytes
        self._starved_since: float | None = None  # since when the sender has been waiting for the next chunk
        self._answered_at = 0.0  # seconds of audio that had been sent when the last results came
        self._audio_error: DecodingError | OSError | None = None
        self._keeps_unconfirmed = keeps_unconfirmed

    async def run(self) -> bool:
        """Run the stream. Return False if the caller must open another stream, because some words are not final.

        With `keeps_unconfirmed` publishes those words as provisional finals and returns True. Raises `EngineError`. If
        the audio can't be read to its end, transcribes the part before the failure, and then raises the failure's
        `DecodingError` or `OSError`.
        """
        async with aclosing(self._audio.chunks(self._request.start_time)) as chunks:
            first = await anext(chunks, None)
            if first is None:
                return True  # nothing is left to transcribe, and AWS bills an empty stream as 15 seconds
            parameters = options.parameters(self._request.language_code, self._request.options)
            async with (
                authenticated_stream(parameters, self._audio.sample_rate) as (stream, _),
                asyncio.TaskGroup() as group,
            ):
                ending = asyncio.timeout(None)
                sending = group.create_task(self._send(stream, first, chunks, ending))
                monitoring = group.create_task(self._monitor(stream))
                try:
                    async with ending:
                        await self._receive(stream)
                except TimeoutError:
                    if self._timeline.sent_seconds - self._answered_at > LONGEST_SILENCE_SECONDS:
                        raise EngineError(
                            "Amazon Transcribe has stopped answering. Try again later.", permanent=False
                        ) from None
                    # Otherwise all results have arrived and only the end of the answer is missing: keep the results.
                await sending
                monitoring.cancel()
                # The service may have stopped reading before the audio ended. Then its answer lacks the last words.
                has_stopped_reading = await stream.has_stopped_reading()
        is_complete = not self._interpreter.has_open and not has_stopped_reading
        if self._keeps_unconfirmed:
            for result in self._interpreter.unconfirmed():
                self._publish(result)
        if self._audio_error is not None and (is_complete or self._keeps_unconfirmed):
            raise self._audio_error
        return is_complete or self._keeps_unconfirmed

    async def _send(
        self, stream: Stream, first: bytes, chunks: AsyncGenerator[bytes, None], ending: asyncio.Timeout
    ) -> None:
        """Send the audio at the speed of speech times the pace, then the end of the audio.

        Afterwards, sets the deadline of `ending`, by which the service must have ended its answer.
        """
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        chunk: bytes | None = first
        sent = 0
        while chunk is not None:
            # Do not send faster than real time: chunks carry a signed time, which would expire before the service reads
            # them.
            if sent % BURST_CHUNKS == 0:
                early = began_at + self._timeline.sent_seconds / self._pace - loop.time()
                if early > 0:
                    await asyncio.sleep(early)
            sent += 1
            await self._send_chunk(stream, chunk)
            self._timeline.add(len(chunk) / self._bytes_a_second)
            self._starved_since = loop.time()
            try:
                chunk = await anext(chunks, None)
            except (DecodingError, OSError) as error:
                self._audio_error = error  # raised by `run` after the audio before it is transcribed
                chunk = None
            self._starved_since = None
        await stream.end()
        ending.reschedule(loop.time() + DRAIN_SECONDS)

    async def _send_chunk(self, stream: Stream, chunk: bytes) -> None:
        try:
            await stream.send(chunk, round(UNSENT_SECONDS * self._bytes_a_second), STUCK_SECONDS / self._pace)
        except TimeoutError:
            raise EngineError(
                "Amazon Transcribe has stopped accepting audio. Try again later.", permanent=False
            ) from None

    async def _receive(self, stream: Stream) -> None:
        async for results in stream.results():
            self._answered_at = self._timeline.sent_seconds
            for raw in results:
                for result in self._interpreter.interpret(raw):
                    self._publish(result)
        if not stream.has_sent_end:
            raise StreamInterrupted("the service ended the stream before the audio had ended")
        if self._interpreter.is_unreadable:
            raise MalformedAnswer("results without a text")

    async def _monitor(self, stream: Stream) -> None:
        """Send silence while the decoder is late, and fail if the service stops answering.

        The service ends a stream that receives no audio for 15 s.
        """
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(STARVED_SECONDS / self._pace / 4)
            since = self._starved_since
            if since is not None and loop.time() - since >= STARVED_SECONDS / self._pace:
                samples = round(self._audio.sample_rate * CHUNK_SECONDS)
                await self._send_chunk(stream, bytes(samples * self._frame_bytes))
                self._timeline.add_silence(CHUNK_SECONDS)
                if self._starved_since is not None:
                    self._starved_since = loop.time()
            if self._interpreter.has_open and self._timeline.sent_seconds - self._answered_at > STUCK_SECONDS:
                raise EngineError("Amazon Transcribe has stopped answering. Try again later.", permanent=False)


@asynccontextmanager
async def authenticated_stream(
    parameters: Mapping[str, Any], sample_rate: int
) -> AsyncIterator[tuple[Stream, Account]]:
    """Open a stream with fresh credentials and a new session id, and close it at the end.

    Converts every error, including those raised in the body of the `async with`, into an `EngineError`.
    """
    deadline = asyncio.get_running_loop().time() + START_SECONDS
    try:
        async with asyncio.timeout_at(deadline):
            account = await asyncio.to_thread(resolve_account)
    except TimeoutError as error:
        raise EngineError("AWS did not issue credentials in time. Try again later.", permanent=False) from error
    media = {"media_sample_rate_hz": sample_rate, "media_encoding": "pcm", "session_id": str(uuid.uuid4())}
    is_open = False
    try:
        async with AsyncExitStack() as stack:
            async with asyncio.timeout_at(deadline):  # without a limit a start could hang without end
                stream = await stack.enter_async_context(open_stream(account, {**parameters, **media}))
            is_open = True
            yield stream, account
    except Exception as error:
        cause: Exception = error
        while isinstance(cause, ExceptionGroup):
            cause = cause.exceptions[0]  # the first one; the task group cancelled the other tasks because of it
        raise failure(cause, account, is_open=is_open) from error


async def test_connection() -> str:
    """Send three seconds of speech, interpret the answer as a job does, and return a sentence about the outcome.

    Raises `EngineError`. AWS bills 15 seconds.
    """
    began_at = time.monotonic()
    audio, sample_rate = await asyncio.to_thread(_test_audio)
    timeline = Timeline(0.0)
    interpreter = Interpreter(Request("en-US"), timeline)
    chunk_bytes = round(sample_rate * CHUNK_SECONDS) * SAMPLE_BYTES
    words: list[str] = []
    async with authenticated_stream(options.parameters("en-US", {}), sample_rate) as (stream, account):
        for begin in range(0, len(audio), chunk_bytes):
            chunk = audio[begin : begin + chunk_bytes]
            await stream.send(chunk, chunk_bytes, START_SECONDS)
            timeline.add(len(chunk) / SAMPLE_BYTES / sample_rate)
            await asyncio.sleep(CHUNK_SECONDS / settings.TRANSCRIBE_AWS_PACE)  # the service requires real time
        await stream.end()
        async with asyncio.timeout(START_SECONDS):
            async for results in stream.results():
                for result in (result for raw in results for result in interpreter.interpret(raw)):
                    words += [] if result.is_partial else [word.text for word in result.words]
        if interpreter.is_unreadable:
            raise MalformedAnswer("results without a text")
    took = time.monotonic() - began_at
    recognised = f" It recognised “{abbreviated(' '.join(words))}”." if words else ""
    place = f"Amazon Transcribe in {account.region}"
    return f"{place} accepted the key {account.key} and answered in {took:.1f} s.{recognised}"


def _test_audio() -> tuple[bytes, int]:
    """Return the beginning of the sample recording and its rate in Hz, or silence if the site has no sample."""
    path = sample_path()
    if path is None:
        return bytes(round(16_000 * TEST_SECONDS) * SAMPLE_BYTES), 16_000
    with wave.open(str(path)) as recording:
        return recording.readframes(round(recording.getframerate() * TEST_SECONDS)), recording.getframerate()
