"""A second server for tests of Amazon's engine. A test can send any HTTP/2 frame at any point of an answer.

It shares no code with the stand-in: it uses hyperframe for frames and hpack for headers, and encodes the messages of
the event stream itself. It neither enforces the rules of HTTP/2 nor checks signatures. It recognises the numbers that
`streaming/engines/scripted.py` encodes, so that a lost or repeated word is visible.
"""

import array
import asyncio
import itertools
import json
import ssl
import struct
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any
from zlib import crc32

import trustme
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

from streaming.engines.scripted import BIT_SECONDS, BITS, WORD_SECONDS, decode_number

STREAM = 1
SAMPLE_RATE = 16_000
BIT_BYTES = round(BIT_SECONDS * SAMPLE_RATE) * 2
WORDS_PER_FINAL = 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PATIENCE_SECONDS = 30.0

Play = Callable[["Peer"], Awaitable[None]]


def message(payload: bytes, **headers: str) -> bytes:
    """Return a message of the event stream; `message_type` is the header `:message-type`."""
    raw = b"".join(
        bytes([len(name) + 1])
        + f":{name}".replace("_", "-").encode()
        + b"\x07"
        + struct.pack("!H", len(value))
        + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack("!II", 16 + len(raw) + len(payload), len(raw))
    body = prelude + struct.pack("!I", crc32(prelude)) + raw + payload
    return body + struct.pack("!I", crc32(body))


def event(payload: object, event_type: str = "TranscriptEvent") -> bytes:
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return message(raw, message_type="event", event_type=event_type, content_type="application/json")


def payload_of(raw: bytes) -> bytes:
    """Return the payload of the single message in `raw`. Checks its checksums."""
    total, headers_size, checksum = struct.unpack_from("!III", raw)
    assert total == len(raw)
    assert crc32(raw[:8]) == checksum
    assert crc32(raw[:-4]) == int.from_bytes(raw[-4:], "big")
    return raw[12 + headers_size : -4]


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
        heard, bits, start = [], array.array("h"), 0.0
        for place in range(0, len(self._pcm) - BIT_BYTES + 1, BIT_BYTES):
            samples = array.array("h", bytes(self._pcm[place : place + BIT_BYTES]))
            if not samples[0]:
                continue
            if not bits:
                start = place / BIT_BYTES * BIT_SECONDS
            bits += samples
            if len(bits) * 2 == BITS * BIT_BYTES:
                heard.append((f"w{decode_number(bits, SAMPLE_RATE)}", round(start, 2)))
                bits = array.array("h")
        return heard

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


def result(words: list[tuple[str, float]], **fields: Any) -> dict[str, Any]:
    """Return an event's JSON for these words, changed by `fields`."""
    items = [
        {"Content": word, "StartTime": start, "EndTime": start + WORD_SECONDS, "Type": "pronunciation"}
        for word, start in words
    ]
    plain = {
        "ResultId": words[0][0],
        "StartTime": words[0][1],
        "EndTime": words[-1][1] + WORD_SECONDS,
        "IsPartial": False,
        "Alternatives": [{"Transcript": " ".join(word for word, _ in words), "Items": items}],
    }
    return {"Transcript": {"Results": [plain | fields]}}


class RawServer:
    """An async context manager that serves on this machine. The next of `plays` handles each connection."""

    def __init__(self, *plays: Play, host: str = "127.0.0.1", port: int = 0) -> None:
        self.plays = [*plays]
        self.peers: list[Peer] = []
        self.errors: list[BaseException] = []
        self._host, self._port = host, port
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def requests(self) -> int:
        return sum(bool(peer.request) for peer in self.peers)

    async def __aenter__(self) -> "RawServer":
        self._folder = tempfile.TemporaryDirectory(prefix="raw-server-")
        authority = trustme.CA()
        self.ca_file = str(Path(self._folder.name) / "ca.pem")
        authority.cert_pem.write_to_path(self.ca_file)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["h2"])
        authority.issue_cert("localhost", "transcribe.test").configure_cert(context)
        self._server = await asyncio.start_server(self._accept, self._host, self._port, ssl=context)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for peer in self.peers:
            peer.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._folder.cleanup()
        if self.errors and kind is None:
            raise self.errors[0]  # if the test failed itself, report only that error

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        play = self.plays[min(len(self.peers), len(self.plays) - 1)]
        self.peers.append(peer)
        for work in (peer.serve(), self._play(play, peer)):
            task = asyncio.create_task(work)
            self._tasks.add(task)

    async def _play(self, play: Play, peer: Peer) -> None:
        try:
            await play(peer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client has left, or the test has ended
        except BaseException as error:  # any error of a test's own function
            self.errors.append(error)
            peer.cut()


async def transcribe(peer: Peer) -> None:
    """Play a whole answer without anything unusual."""
    await Answer()(peer)


async def nothing(peer: Peer) -> None:
    """Play nothing."""


class Answer:
    """Plays a whole answer, and calls the test's function at one of these points. `fields` change every result.

    `connected`: before the request · `requested`: before the answer's headers · `midway`: after five seconds of audio ·
    `last`: before the last final · `done`: between the last final and END_STREAM · `ended`: after END_STREAM.
    """

    POINTS = ("connected", "requested", "midway", "last", "done", "ended")

    def __init__(
        self, at: str = "", play: Play = nothing, end: Play | None = None, parts: int = 1, **fields: Any
    ) -> None:
        self._at, self._play = at, play
        self._end, self._parts, self._fields = end, parts, fields

    async def __call__(self, peer: Peer) -> None:
        if self._at != "connected":
            peer.settings()
        await self._reach("connected", peer)
        await peer.until_requested()
        await self._reach("requested", peer)
        peer.accept(parts=self._parts)
        seconds = 0.0
        while not peer.has_ended:
            seconds += 1.0
            await peer.until_audio(seconds)
            if not peer.has_ended:
                peer.tell(**self._fields)
                peer.tell_partial(**self._fields)
            if seconds == 5.0:
                await self._reach("midway", peer)
        await self._reach("last", peer)
        peer.tell(is_last=True, **self._fields)
        await self._reach("done", peer)
        if self._end is not None:
            await self._end(peer)
        else:
            peer.end()
        await self._reach("ended", peer)

    async def _reach(self, point: str, peer: Peer) -> None:
        if point == self._at:
            await self._play(peer)
