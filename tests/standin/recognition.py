"""What turns a stream's sound into segments of words: numbers that a test wrote into its samples, or real speech.

A recognition is given sound by `hear`, ends with `finish`, and hands each segment, partial or final, to `deliver`.
"""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Protocol

import numpy as np

from tests.standin.requests import Request

# How `streaming.engines.scripted.say` writes a number: 16 bits of 20 ms, then silence, half a second in all. Not
# imported from there: that needs Django, which a server of its own doesn't.
BITS, BIT_SECONDS, WORD_SECONDS = 16, 0.02, 0.5
LOUD = 4_000  # half of the level that a bit has
GAP_SECONDS = 0.1  # of silence before a word
SENTENCE_GAP_SECONDS = 1.0  # of silence after which a segment is final

Samples = np.ndarray


@dataclass(frozen=True)
class Spoken:
    """A word and when it was said, in seconds of the stream; a number's word knows its number."""

    text: str
    start: float
    end: float
    number: int | None = None


@dataclass(frozen=True)
class Segment:
    segment_id: str
    channel: int
    words: tuple[Spoken, ...]
    is_partial: bool
    language: str = ""


Deliver = Callable[[Segment], None]


class Recognition(Protocol):
    """`hear` never waits; `finish` returns when all that was heard has been delivered; `close` may come at any time.

    `fragments` counts what could not be understood.
    """

    @property
    def fragments(self) -> int: ...

    def hear(self, pcm: bytes) -> None: ...

    async def finish(self) -> None: ...

    def close(self) -> None: ...


def is_loud(samples: Samples) -> Samples:
    """Return the places of the samples that are no silence."""
    if not samples.any():  # most often, and found at once
        return np.empty(0, np.intp)
    return np.flatnonzero((samples >= LOUD) | (samples <= -LOUD))


class NumberReader:
    """Finds the numbers of one channel, wherever in its half seconds the stream began.

    A word begins at the first loud sample after a gap. One that the stream's beginning or end cuts is no number: it
    is counted in `fragments`.
    """

    def __init__(self, sample_rate: int) -> None:
        self.fragments = 0
        self._rate = sample_rate
        self._bit = round(sample_rate * BIT_SECONDS)
        self._gap = round(sample_rate * GAP_SECONDS)
        self._rest = np.empty(0, np.int16)
        self._base = 0  # the stream's sample with which `_rest` begins
        self._last_loud = -self._gap - 1  # before the stream there was silence
        self._is_word = False  # whether `_rest` begins with a word

    @property
    def word_began_at(self) -> float | None:
        """When the word began that is being said, or None."""
        return self._base / self._rate if self._is_word else None

    def hear(self, samples: Samples, *, is_end: bool = False) -> list[tuple[int, float, float]]:
        """Return the numbers that became complete, with start and end in seconds."""
        self._rest = np.concatenate((self._rest, samples)) if len(self._rest) else samples
        numbers = []
        while self._is_word or self._find_word():
            if len(self._rest) < round(WORD_SECONDS * self._rate) and not is_end:
                break
            self._is_word = False
            sound = is_loud(self._rest[: BITS * self._bit + self._gap])
            number = self._number()
            if number is None:
                self.fragments += 1
                self._drop(1)  # what remains of it is no beginning: no gap is before it
                self._last_loud = self._base - 1
                continue
            # The sound's end dates the word: its first samples may have been cut.
            heard_end = self._base + len(self._rest)
            end = (self._base + int(sound[-1]) + 1) / self._rate + WORD_SECONDS - BITS * BIT_SECONDS
            numbers.append((number, max(0.0, end - WORD_SECONDS), min(end, heard_end / self._rate)))
            self._last_loud = self._base + int(sound[-1])
            self._drop(int(sound[-1]) + 1)
        return numbers

    def _find_word(self) -> bool:
        """Drop what is before the next beginning, and return whether there is one."""
        loud = is_loud(self._rest)
        if not len(loud):
            self._drop(len(self._rest))
            return False
        begin = int(loud[0])
        if self._base + begin - self._last_loud <= self._gap:  # that goes on with what was cut
            begins = np.flatnonzero(np.diff(loud) > self._gap)
            if not len(begins):
                self._last_loud = self._base + int(loud[-1])
                self._drop(len(self._rest))
                return False
            begin = int(loud[begins[0] + 1])
        self._drop(begin)
        self._is_word = True
        return True

    def _drop(self, count: int) -> None:
        self._rest = self._rest[count:]
        self._base += count

    def _number(self) -> int | None:
        middles = self._rest[self._bit // 2 : self._bit * BITS : self._bit].tolist()
        if len(middles) < BITS or any(abs(middle) < LOUD for middle in middles):
            return None
        return sum(1 << place for place, middle in enumerate(middles) if middle > 0)


class NumberRecognition:
    """Hears `w17` for the number 17, and cuts segments after `words_per_final` words or a second of silence.

    `numbers` receives each number and its time.
    """

    def __init__(
        self, request: Request, deliver: Deliver, numbers: list[tuple[int, float]], words_per_final: int, seed: str = ""
    ) -> None:
        # With a seed each stream cuts elsewhere, as a recogniser does that begins elsewhere.
        self._words_per_final = Random(seed).randint(1, 2 * words_per_final) if seed else words_per_final
        self._request = request
        self._deliver = deliver
        self._numbers = numbers
        self._readers = [NumberReader(request.sample_rate) for _ in range(request.channels)]
        self._pending: list[list[Spoken]] = [[] for _ in self._readers]
        self._ids = [str(uuid.uuid4()) for _ in self._readers]
        self._position = 0

    @property
    def fragments(self) -> int:
        return sum(reader.fragments for reader in self._readers)

    def hear(self, pcm: bytes) -> None:
        samples = np.frombuffer(pcm, "<i2")
        self._position += len(samples) // len(self._readers)
        for channel in range(len(self._readers)):
            self._hear(channel, samples[channel :: len(self._readers)], is_end=False)

    async def finish(self) -> None:
        for channel in range(len(self._readers)):
            self._hear(channel, np.empty(0, np.int16), is_end=True)
            self._cut(channel)

    def close(self) -> None:
        pass

    def _hear(self, channel: int, samples: Samples, *, is_end: bool) -> None:
        reader, pending = self._readers[channel], self._pending[channel]
        for number, start, end in reader.hear(samples, is_end=is_end):
            self._numbers.append((number, start))
            language = self._language(number)
            if pending and (self._language(pending[0].number) != language or start - pending[-1].end >= 1.0):
                self._cut(channel)
            pending.append(Spoken(f"w{number}", round(start, 3), round(end, 3), number))
            if len(pending) >= self._words_per_final:
                self._cut(channel)
            else:
                self._say(channel, is_partial=True)
        said_until = reader.word_began_at
        if said_until is None:
            said_until = self._position / self._request.sample_rate
        if pending and said_until - pending[-1].end >= SENTENCE_GAP_SECONDS:
            self._cut(channel)

    def _language(self, number: int | None) -> str:
        request = self._request
        if request.identify_multiple_languages:
            return request.language_options[(number or 0) // 8 % len(request.language_options)]
        if request.identify_language:
            return request.preferred_language or request.language_options[0]
        return ""

    def _cut(self, channel: int) -> None:
        if self._pending[channel]:
            self._say(channel, is_partial=False)
            self._pending[channel].clear()
            self._ids[channel] = str(uuid.uuid4())

    def _say(self, channel: int, *, is_partial: bool) -> None:
        words = tuple(self._pending[channel])
        self._deliver(Segment(self._ids[channel], channel, words, is_partial, self._language(words[0].number)))


class LocalRecognition:
    """Hears real words with the project's own recogniser, one process a stream. For demonstrations.

    It listens to the first channel only.
    """

    fragments = 0  # it guesses at everything

    def __init__(self, request: Request, deliver: Deliver) -> None:
        self._request = request
        self._deliver = deliver
        self._segment_id = str(uuid.uuid4())
        self._sound: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._task = asyncio.create_task(self._listen())

    def hear(self, pcm: bytes) -> None:
        if self._request.channels > 1:
            pcm = np.frombuffer(pcm, "<i2")[:: self._request.channels].tobytes()
        self._sound.put_nowait(pcm)

    async def finish(self) -> None:
        self._sound.put_nowait(None)
        await self._task

    def close(self) -> None:
        self._task.cancel()

    async def _listen(self) -> None:
        # Django must have been set up, which a stand-in that reads numbers does without.
        from streaming.engines.moonshine import engine

        recogniser = await engine.Recogniser.start()
        try:
            rate = self._request.sample_rate
            silence = bytes(2 * round(engine.LEAD_SECONDS * rate))
            start = position = 0.0
            await recogniser.begin(rate)
            await recogniser.add(silence)
            while (block := await self._block(round(2 * rate * engine.BLOCK_SECONDS))) is not None:
                await recogniser.add(block)
                heard = await recogniser.update()
                position += len(block) / 2 / rate
                self._tell(heard.lines, start - engine.LEAD_SECONDS)
                if not heard.is_open and position - start >= engine.TURN_SECONDS:
                    # The library walks all lines of its stream at every update: a new one, in a pause.
                    start = position
                    await recogniser.begin(rate)
                    await recogniser.add(silence)
            await recogniser.add(bytes(2 * round(engine.TAIL_SECONDS * rate)))
            self._tell((await recogniser.end()).lines, start - engine.LEAD_SECONDS)
        finally:
            await recogniser.aclose()

    async def _block(self, size: int) -> bytes | None:
        """Return `size` bytes or a little more, fewer at the end, or None after it."""
        block = b""
        while len(block) < size:
            pcm = await self._sound.get()
            if pcm is None:
                self._sound.put_nowait(None)
                break
            block += pcm
        return block or None

    def _tell(self, lines: list[tuple[float, float, bool, str]], offset: float) -> None:
        from streaming.results import spread_words

        for line_start, line_end, is_complete, text in lines:
            if not text:
                continue
            start = max(0.0, offset + line_start)
            words = tuple(
                Spoken(word.text, word.start_time, word.end_time)
                for word in spread_words(text, start, max(start, offset + line_end))
            )
            self._deliver(Segment(self._segment_id, 0, words, not is_complete))
            if is_complete:
                self._segment_id = str(uuid.uuid4())
