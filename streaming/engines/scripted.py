"""The test engine: it returns the words that a test encoded in a recording's samples.

Each half second of such a recording encodes one number as sixteen bits of 20 ms, each high or low. The transcript
therefore shows which samples the engine has read, in which order, and whether it has read any twice. The engine returns
no word for half a second of silence. A test sets the options `pace` (seconds of audio per second; 0: no limit),
`words_per_final`, and `fail_at` (seconds) with `fail_message` and `permanent`.
"""

import array
import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, ClassVar

from streaming.engines.base import Engine, EngineError, Request
from streaming.results import Result, spread_words
from streaming.spool import CHUNK_SECONDS, Spool

WORD_SECONDS = 0.5
BIT_SECONDS = 0.02
BITS = 16
LEVEL = 8_000
CHUNKS_PER_WORD = round(WORD_SECONDS / CHUNK_SECONDS)


def encode_number(number: int, sample_rate: int = 16_000) -> "array.array[int]":
    """Return half a second of samples that encodes `number` (0 to 65535)."""
    bit = round(sample_rate * BIT_SECONDS)
    samples = array.array("h")
    for place in range(BITS):
        samples.extend([LEVEL if number >> place & 1 else -LEVEL] * bit)
    samples.extend([0] * (round(sample_rate * WORD_SECONDS) - len(samples)))
    return samples


def decode_number(samples: "array.array[int]", sample_rate: int) -> int | None:
    """Return the number that half a second of samples encodes, or None for silence."""
    bit = round(sample_rate * BIT_SECONDS)
    middles = samples[bit // 2 : bit * BITS : bit]
    if len(middles) < BITS or any(abs(middle) < LEVEL // 2 for middle in middles):
        return None
    return sum(1 << place for place, middle in enumerate(middles) if middle > 0)


class ScriptedEngine(Engine):
    name = "scripted"
    label = "Scripted"
    is_preemptible = True
    languages: ClassVar[Mapping[str, str]] = {"en-US": "English, US", "de-DE": "German"}

    @classmethod
    def check(cls, language_code: str, options: Mapping[str, Any], channels: int) -> None:
        super().check(language_code, {}, channels)

    async def transcribe(self, audio: Spool, request: Request) -> AsyncGenerator[Result, None]:
        options = request.options
        pace, fail_at = options.get("pace", 0), options.get("fail_at")
        words_per_final = options.get("words_per_final", 4)
        words: list[str] = []
        begin = time = request.start_time
        samples = array.array("h")
        async with aclosing(audio.chunks(request.start_time)) as chunks:
            async for chunk in chunks:
                if pace:
                    await asyncio.sleep(CHUNK_SECONDS / pace)
                samples.frombytes(chunk)
                if len(samples) < CHUNKS_PER_WORD * round(audio.sample_rate * CHUNK_SECONDS):
                    continue
                time += WORD_SECONDS
                number = decode_number(samples, audio.sample_rate)
                del samples[:]
                if fail_at is not None and time > fail_at:
                    raise EngineError(
                        options.get("fail_message", "The script says so."), permanent=options.get("permanent", True)
                    )
                if number is None:
                    continue
                if not words:
                    begin = time - WORD_SECONDS
                words.append(f"w{number}")
                is_partial = len(words) < words_per_final
                yield self._result(words, begin, time, is_partial=is_partial)
                if not is_partial:
                    words = []
        if words:
            yield self._result(words, begin, time, is_partial=False)

    @staticmethod
    def _result(words: list[str], begin: float, end: float, *, is_partial: bool) -> Result:
        text = " ".join(words)
        return Result(text, begin, end, is_partial, words=() if is_partial else spread_words(text, begin, end))
