"""The server's side of a connection to Amazon's engine: it can send any HTTP/2 frame at any time.

It shares no code with the stand-in: it uses hyperframe for frames and hpack for headers. It neither enforces the rules
of HTTP/2 nor checks signatures. It recognises the numbers that `streaming/engines/scripted.py` encodes, so that a lost
or repeated word is visible.
"""

import array
import asyncio
import itertools
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from hpack import Decoder, Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from streaming.engines.scripted import BIT_SECONDS, BITS, decode_number
from tests.interop.raw.event_stream import event, payload_of, result

STREAM = 1
SAMPLE_RATE = 16_000
BIT_BYTES = round(BIT_SECONDS * SAMPLE_RATE) * 2
WORDS_PER_FINAL = 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PATIENCE_SECONDS = 30.0

Play = Callable[["Peer"], Awaitable[None]]


class Peer:
    """The server's side of a connection. A test's `play` function reads and writes with it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.request: dict[str, str] = {}
        self.has_ended = False  # by the client: its audio is complete
        self.is_lost = False
        self.gives_window = 0  # bytes that each WINDOW_UPDATE gives back at most; 0: all that was received
        self.pads = 0  # bytes of padding in each DATA frame
        self.frames: list[Frame] = []  # all that the client sent
        self._reader, self._writer = reader, writer
        self._encoder, self._decoder = Encoder(), Decoder()
        self._messages = b""
        self._pcm = bytearray()
        self._told = 0  # words that have their final
        self._news = asyncio.Event()

    # Reading from the client.

    async def serve(self) -> None:
        """Read frames until the connection ends."""
        try:
            assert await self._reader.readexactly(len(PREFACE)) == PREFACE
            while True:
                head = memoryview(await self._reader.readexactly(9))
                frame, length = Frame.parse_frame_header(head)
                frame.parse_body(memoryview(await self._reader.readexactly(length)))
                self.frames.append(frame)
                self._receive(frame)
                self._news.set()
        except (OSError, EOFError):
            self.is_lost = True
            self._news.set()

    def _receive(self, frame: Frame) -> None:
        if isinstance(frame, HeadersFrame):
            assert "END_HEADERS" in frame.flags
            self.request = {str(name): str(value) for name, value in self._decoder.decode(frame.data)}
        elif isinstance(frame, DataFrame):
            self._receive_audio(frame.data)
            self._give_window(len(frame.data))
            self.has_ended = "END_STREAM" in frame.flags
        elif isinstance(frame, SettingsFrame) and "ACK" not in frame.flags:
            self.send(SettingsFrame(0, flags=["ACK"]))
        elif isinstance(frame, PingFrame) and "ACK" not in frame.flags:
            self.send(PingFrame(0, frame.opaque_data, flags=["ACK"]))

    def _receive_audio(self, data: bytes) -> None:
        self._messages += data
        while len(self._messages) >= 4 and len(self._messages) >= (size := int.from_bytes(self._messages[:4], "big")):
            signed, self._messages = self._messages[:size], self._messages[size:]
            if inner := payload_of(signed):  # the last one is empty
                self._pcm += payload_of(inner)

    def _give_window(self, size: int) -> None:
        while size:
            part = min(size, self.gives_window or size)
            size -= part
            self.send(*(WindowUpdateFrame(stream, part) for stream in (0, STREAM)))

    async def until(self, is_so: Callable[[], object]) -> None:
        """Wait until the client has done something. Raises `ConnectionError` if it disconnects first."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not is_so():
                if self.is_lost:
                    raise ConnectionResetError
                self._news.clear()
                await self._news.wait()

    async def until_requested(self) -> None:
        await self.until(lambda: self.request)

    async def until_audio(self, seconds: float) -> None:
        await self.until(lambda: self.has_ended or len(self._pcm) >= seconds * SAMPLE_RATE * 2)

    # Writing to the client.

    def send(self, *frames: Frame) -> None:
        self.write(b"".join(frame.serialize() for frame in frames))

    def write(self, data: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(data)

    def settings(self, **values: int) -> None:
        """Send settings, given by hyperframe's names for them."""
        self.send(SettingsFrame(0, {getattr(SettingsFrame, name.upper()): value for name, value in values.items()}))

    def headers(self, *headers: tuple[str, str], is_end: bool = False, parts: int = 1) -> None:
        """Send a header block, cut into a HEADERS frame and CONTINUATION frames."""
        block = self._encoder.encode(headers)
        cuts = [len(block) * part // parts for part in range(parts + 1)]
        pieces = [block[begin:end] for begin, end in itertools.pairwise(cuts)]
        frames: list[Frame] = [HeadersFrame(STREAM, pieces[0], flags=["END_STREAM"] if is_end else [])]
        frames += [ContinuationFrame(STREAM, piece) for piece in pieces[1:]]
        frames[-1].flags.add("END_HEADERS")
        self.send(*frames)

    def accept(self, *more: tuple[str, str], parts: int = 1) -> None:
        kind = ("content-type", "application/vnd.amazon.eventstream")
        self.headers((":status", "200"), kind, ("x-amzn-request-id", f"request-{id(self)}"), *more, parts=parts)

    def refuse(self, status: int, body: bytes = b"", **headers: str) -> None:
        named = [(name.replace("_", "-"), value) for name, value in headers.items()]
        self.headers((":status", str(status)), *named, is_end=not body)
        if body:
            self.data(body, is_end=True)

    def data(self, data: bytes, *, is_end: bool = False) -> None:
        frame = DataFrame(STREAM, data, pad_length=self.pads)
        frame.flags |= {"PADDED"} if self.pads else set()
        frame.flags |= {"END_STREAM"} if is_end else set()
        self.send(frame)

    def end(self) -> None:
        self.data(b"", is_end=True)

    def go_away(self, last_stream: int = STREAM, code: int = 0) -> None:
        self.send(GoAwayFrame(0, last_stream, code))

    def cut(self) -> None:
        self._writer.transport.abort()

    async def close(self) -> None:
        """Close the connection once everything is sent, like a server that has finished."""
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    # Recognition.

    def words(self) -> list[tuple[str, float]]:
        """Return the words of the audio so far, each with its time in the stream.

        Allows silence anywhere, because the engine sends silence while it waits for audio.
        """
        found, bits, start = [], array.array("h"), 0.0
        for place in range(0, len(self._pcm) - BIT_BYTES + 1, BIT_BYTES):
            samples = array.array("h", bytes(self._pcm[place : place + BIT_BYTES]))
            if not samples[0]:
                continue
            if not bits:
                start = place / BIT_BYTES * BIT_SECONDS
            bits += samples
            if len(bits) * 2 == BITS * BIT_BYTES:
                found.append((f"w{decode_number(bits, SAMPLE_RATE)}", round(start, 2)))
                bits = array.array("h")
        return found

    def tell(self, *, is_last: bool = False, **fields: Any) -> bool:
        """Send a final for every four words, and at the end for the rest. Return whether there was one."""
        words = self.words()
        before = self._told
        while len(words) - self._told >= (1 if is_last else WORDS_PER_FINAL):
            self.data(event(result(words[self._told : self._told + WORDS_PER_FINAL], **fields)))
            self._told += WORDS_PER_FINAL
        return self._told > before

    def tell_partial(self, **fields: Any) -> None:
        """Send the words without a final as a partial."""
        if words := self.words()[self._told :]:
            self.data(event(result(words, IsPartial=True, **fields)))
