"""Recognises segments of words in a stream's audio: numbers that a test encoded in its samples, or real speech.

The stream passes audio to `add_audio` and ends with `finish`. The recognition passes each segment to `deliver`.
"""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Protocol

import numpy as np

from tests.standin.requests import Request

# The format of `streaming.engines.scripted.encode_number`: 16 bits of 20 ms, then silence, half a second in all. Not
# imported from there, because that module needs Django and the stand-in must run without it.
BITS, BIT_SECONDS, WORD_SECONDS = 16, 0.02, 0.5
LOUD = 4_000  # half the level of a bit
GAP_SECONDS = 0.1  # of silence before a word starts
SENTENCE_GAP_SECONDS = 1.0  # of silence that ends a segment

Samples = np.ndarray


@dataclass(frozen=True)
class Spoken:
    """A word with its times in seconds of the stream. `number` is set if the word encodes one."""

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
    """`add_audio` never waits. `finish` returns when all results are delivered. `close` may be called at any time.

    `fragments` counts parts of words that could not be recognised.
    """

    @property
    def fragments(self) -> int: ...

    def add_audio(self, pcm: bytes) -> None: ...

    async def finish(self) -> None: ...

    def close(self) -> None: ...


def is_loud(samples: Samples) -> Samples:
    """Return the positions of the samples that are not silence."""
    if not samples.any():  # the usual case, which is found quickly
        return np.empty(0, np.intp)
    return np.flatnonzero((samples >= LOUD) | (samples <= -LOUD))


class NumberReader:
    """Finds the numbers of one channel, also if the stream begins within a half second.

    A word begins at the first loud sample after a gap. A word that the start or the end of the stream cuts is not
    returned but counted in `fragments`.
    """

    def __init__(self, sample_rate: int) -> None:
        self.fragments = 0
        self._rate = sample_rate
        self._bit = round(sample_rate * BIT_SECONDS)
        self._gap = round(sample_rate * GAP_SECONDS)
        self._rest = np.empty(0, np.int16)
        self._base = 0  # the stream's sample with which `_rest` begins
        self._last_loud = -self._gap - 1  # the stream counts as preceded by silence
        self._is_word = False  # whether `_rest` begins with a word

    @property
    def word_began_at(self) -> float | None:
        """The start of the word that is being spoken, or None."""
        return self._base / self._rate if self._is_word else None

    def read(self, samples: Samples, *, is_end: bool = False) -> list[tuple[int, float, float]]:
        """Add samples and return the numbers they complete, with start and end in seconds."""
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
                self._drop(1)  # the rest of the word is not the start of another, because no gap precedes it
                self._last_loud = self._base - 1
                continue
            # Date the word by its end, because its first samples may be missing.
            heard_end = self._base + len(self._rest)
            end = (self._base + int(sound[-1]) + 1) / self._rate + WORD_SECONDS - BITS * BIT_SECONDS
            numbers.append((number, max(0.0, end - WORD_SECONDS), min(end, heard_end / self._rate)))
            self._last_loud = self._base + int(sound[-1])
            self._drop(int(sound[-1]) + 1)
        return numbers

    def _find_word(self) -> bool:
        """Drop the samples before the next start of a word, and return whether there is one."""
        loud = is_loud(self._rest)
        if not len(loud):
            self._drop(len(self._rest))
            return False
        begin = int(loud[0])
        if self._base + begin - self._last_loud <= self._gap:  # the continuation of a cut word
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
    """Returns `w17` for the number 17, and ends segments after `words_per_final` words or a second of silence.

    `numbers` receives each number and its time.
    """

    def __init__(
        self, request: Request, deliver: Deliver, numbers: list[tuple[int, float]], words_per_final: int, seed: str = ""
    ) -> None:
        # With a seed each stream has segments of another length, like a recogniser that starts at another point.
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

    def add_audio(self, pcm: bytes) -> None:
        samples = np.frombuffer(pcm, "<i2")
        self._position += len(samples) // len(self._readers)
        for channel in range(len(self._readers)):
            self._read(channel, samples[channel :: len(self._readers)], is_end=False)

    async def finish(self) -> None:
        for channel in range(len(self._readers)):
            self._read(channel, np.empty(0, np.int16), is_end=True)
            self._end_segment(channel)

    def close(self) -> None:
        pass

    def _read(self, channel: int, samples: Samples, *, is_end: bool) -> None:
        reader, pending = self._readers[channel], self._pending[channel]
        for number, start, end in reader.read(samples, is_end=is_end):
            self._numbers.append((number, start))
            language = self._language(number)
            if pending and (self._language(pending[0].number) != language or start - pending[-1].end >= 1.0):
                self._end_segment(channel)
            pending.append(Spoken(f"w{number}", round(start, 3), round(end, 3), number))
            if len(pending) >= self._words_per_final:
                self._end_segment(channel)
            else:
                self._deliver_segment(channel, is_partial=True)
        said_until = reader.word_began_at
        if said_until is None:
            said_until = self._position / self._request.sample_rate
        if pending and said_until - pending[-1].end >= SENTENCE_GAP_SECONDS:
            self._end_segment(channel)

    def _language(self, number: int | None) -> str:
        request = self._request
        if request.identify_multiple_languages:
            return request.language_options[(number or 0) // 8 % len(request.language_options)]
        if request.identify_language:
            return request.preferred_language or request.language_options[0]
        return ""

    def _end_segment(self, channel: int) -> None:
        if self._pending[channel]:
            self._deliver_segment(channel, is_partial=False)
            self._pending[channel].clear()
            self._ids[channel] = str(uuid.uuid4())

    def _deliver_segment(self, channel: int, *, is_partial: bool) -> None:
        words = tuple(self._pending[channel])
        self._deliver(Segment(self._ids[channel], channel, words, is_partial, self._language(words[0].number)))


class LocalRecognition:
    """Recognises real speech with the built-in recogniser, in a process per stream. For demonstrations.

    It uses the first channel only.
    """

    fragments = 0  # the recogniser returns words for any audio

    def __init__(self, request: Request, deliver: Deliver) -> None:
        self._request = request
        self._deliver = deliver
        self._segment_id = str(uuid.uuid4())
        self._audio: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._task = asyncio.create_task(self._listen())

    def add_audio(self, pcm: bytes) -> None:
        if self._request.channels > 1:
            pcm = np.frombuffer(pcm, "<i2")[:: self._request.channels].tobytes()
        self._audio.put_nowait(pcm)

    async def finish(self) -> None:
        self._audio.put_nowait(None)
        await self._task

    def close(self) -> None:
        self._task.cancel()

    async def _listen(self) -> None:
        # Imported late: it needs Django, which a stand-in that reads numbers does not.
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
                update = await recogniser.update()
                position += len(block) / 2 / rate
                self._deliver_lines(update.lines, start - engine.LEAD_SECONDS)
                if not update.is_open and position - start >= engine.STREAM_SECONDS:
                    # Start a new stream in a pause: the library iterates over all lines of a stream at each update.
                    start = position
                    await recogniser.begin(rate)
                    await recogniser.add(silence)
            await recogniser.add(bytes(2 * round(engine.TAIL_SECONDS * rate)))
            self._deliver_lines((await recogniser.end()).lines, start - engine.LEAD_SECONDS)
        finally:
            await recogniser.aclose()

    async def _block(self, size: int) -> bytes | None:
        """Return at least `size` bytes of audio, the rest at the end, and None after it."""
        block = b""
        while len(block) < size:
            pcm = await self._audio.get()
            if pcm is None:
                self._audio.put_nowait(None)
                break
            block += pcm
        return block or None

    def _deliver_lines(self, lines: list[tuple[float, float, bool, str]], offset: float) -> None:
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
