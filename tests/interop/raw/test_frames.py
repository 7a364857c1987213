"""Legal HTTP/2 frames never interrupt a stream of the engine. After an illegal end the engine loses no word."""

import asyncio
import struct

import pytest
from hyperframe.frame import (
    AltSvcFrame,
    DataFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from streaming.engines.aws import connection
from tests.interop.raw.answers import Answer, transcribe
from tests.interop.raw.conftest import ALL, Point, Transcribe, lines
from tests.interop.raw.event_stream import event, result
from tests.interop.raw.peer import STREAM, Peer, Play
from tests.interop.raw.server import RawServer

HIGHEST = 2**31 - 1
PATIENCE_SECONDS = 30.0


@pytest.fixture
def waits_for_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the wait for a PING's answer longer than any test, so that a needless wait fails the test."""
    monkeypatch.setattr(connection, "FINAL_PING_SECONDS", 10 * PATIENCE_SECONDS)
    monkeypatch.setattr(connection, "PING_SECONDS", 10 * PATIENCE_SECONDS)


async def graceful_goaway(peer: Peer) -> None:
    peer.go_away()


async def goaway_in_two_phases(peer: Peer) -> None:
    peer.go_away(HIGHEST)
    peer.send(PingFrame(0, b"shutdown"))
    await peer.until(lambda: any(isinstance(frame, PingFrame) and "ACK" in frame.flags for frame in peer.frames))
    peer.go_away()


async def shrinking_window(peer: Peer) -> None:
    peer.settings(initial_window_size=0)
    peer.settings(initial_window_size=1)
    peer.settings(initial_window_size=65_535)


async def other_table_sizes(peer: Peer) -> None:
    peer.settings(header_table_size=0)
    peer.settings(header_table_size=65_536)


async def other_frame_sizes(peer: Peer) -> None:
    peer.settings(max_frame_size=2**24 - 1)
    peer.settings(max_frame_size=16_384)


async def no_more_streams(peer: Peer) -> None:
    peer.settings(max_concurrent_streams=1, max_header_list_size=16_384)


async def unknown_settings(peer: Peer) -> None:
    peer.send(SettingsFrame(0, {0x08: 1, 0x09: 1, 0xF000: 2**32 - 1}))


async def unknown_frames(peer: Peer) -> None:
    for kind in (0x0B, 0x0C, 0x10, 0x21, 0xFF):  # 0x0C is ORIGIN, 0x10 PRIORITY_UPDATE
        for stream in (0, STREAM, 7):
            peer.write(struct.pack("!IBI", 8 << 8 | kind, 0xFF, stream) + b"whatever")


async def priorities(peer: Peer) -> None:
    for stream in (STREAM, 3, 5):
        peer.send(PriorityFrame(stream, depends_on=0, stream_weight=15))


async def alternative_services(peer: Peer) -> None:
    peer.send(AltSvcFrame(0, origin=b"https://localhost", field=b'h3=":443"; ma=60'))
    peer.send(AltSvcFrame(STREAM, origin=b"", field=b"clear"))


async def pings(peer: Peer) -> None:
    for number in range(5):
        peer.send(PingFrame(0, bytes([number] * 8)))


async def larger_windows(peer: Peer) -> None:
    peer.send(WindowUpdateFrame(0, 1_000_000), WindowUpdateFrame(STREAM, 1_000_000))


ANYWHERE: list[Play] = [
    shrinking_window,
    other_table_sizes,
    other_frame_sizes,
    no_more_streams,
    unknown_settings,
    unknown_frames,
    priorities,
    alternative_services,
    pings,
]
WITHIN_THE_STREAM: list[Play] = [graceful_goaway, goaway_in_two_phases, larger_windows]
CASES = [(play, point) for play in ANYWHERE for point in Answer.POINTS]
CASES += [(play, point) for play in WITHIN_THE_STREAM for point in Answer.POINTS[1:]]


def named(value: object) -> str:
    return value if isinstance(value, str) else getattr(value, "__name__", str(value))


@pytest.mark.parametrize(("play", "at"), CASES, ids=named)
async def test_legal_frames_do_not_interrupt_a_stream(
    point: Point, transcribed: Transcribe, play: Play, at: str
) -> None:
    async def first_frame(peer: Peer) -> None:
        peer.settings()  # a server's first frame is its settings
        await play(peer)

    async with RawServer(Answer(at, first_frame if at == "connected" else play)) as server:
        point(server)
        results = await transcribed()
        assert lines(results) == ALL
        assert server.requests == 1
    assert not any(result.is_provisional for result in results)


@pytest.mark.parametrize("play", [graceful_goaway, goaway_in_two_phases], ids=named)
@pytest.mark.parametrize("at", ["done", "ended"])
async def test_engine_does_not_wait_for_a_server_that_closes_after_goaway(
    point: Point, transcribed: Transcribe, waits_for_pings: None, play: Play, at: str
) -> None:
    async def end(peer: Peer) -> None:
        if at == "done":
            await play(peer)
        peer.end()
        if at == "ended":
            await play(peer)
        await peer.close()

    async with RawServer(Answer(end=end)) as server:
        point(server)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert lines(await transcribed()) == ALL
        assert server.requests == 1


async def test_a_server_that_announced_its_end_need_not_answer_a_ping(
    point: Point, transcribed: Transcribe, waits_for_pings: None
) -> None:
    async def end(peer: Peer) -> None:
        peer.go_away()
        peer._receive = lambda frame: None  # type: ignore[method-assign]  # it continues reading and sends nothing
        peer.end()

    async with RawServer(Answer(end=end)) as server:
        point(server)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert lines(await transcribed()) == ALL
        assert server.requests == 1


async def informational(peer: Peer) -> None:
    peer.headers((":status", "100"))
    peer.headers((":status", "103"), ("link", "</style.css>; rel=preload"), parts=3)


async def test_informational_responses_are_skipped(point: Point, transcribed: Transcribe) -> None:
    async with RawServer(Answer("requested", informational)) as server:
        point(server)
        assert lines(await transcribed()) == ALL
        assert server.requests == 1


async def test_headers_in_many_frames_are_read(point: Point, transcribed: Transcribe) -> None:
    async with RawServer(Answer(parts=40)) as server:
        point(server)
        assert lines(await transcribed()) == ALL
        assert server.requests == 1


async def with_trailers(peer: Peer) -> None:
    peer.headers(("x-amzn-checksum", "none"), ("server-timing", "total;dur=5"), is_end=True, parts=2)


async def with_empty_frames(peer: Peer) -> None:
    peer.send(DataFrame(STREAM), DataFrame(STREAM))
    peer.end()


@pytest.mark.parametrize("end", [with_trailers, with_empty_frames], ids=named)
async def test_an_answer_may_end_with_trailers_or_empty_frames(
    point: Point, transcribed: Transcribe, end: Play
) -> None:
    async with RawServer(Answer(end=end)) as server:
        point(server)
        assert lines(await transcribed()) == ALL
        assert server.requests == 1


@pytest.mark.parametrize("size", [1, 255])
async def test_padding_is_not_part_of_the_answer(point: Point, transcribed: Transcribe, size: int) -> None:
    async def pad(peer: Peer) -> None:
        peer.pads = size

    async with RawServer(Answer("requested", pad)) as server:
        point(server)
        assert lines(await transcribed()) == ALL
        assert server.requests == 1


@pytest.mark.parametrize("size", [300, 5_000])
async def test_tiny_windows_slow_a_stream_down_and_lose_nothing(
    point: Point, transcribed: Transcribe, size: int
) -> None:
    async def narrow(peer: Peer) -> None:
        peer.settings(initial_window_size=size)
        peer.gives_window = size

    async with RawServer(Answer("connected", narrow)) as server:
        point(server)
        assert lines(await transcribed()) == ALL
        assert server.requests == 1


async def test_headers_of_any_bytes_are_read(point: Point, transcribed: Transcribe) -> None:
    async def odd(peer: Peer) -> None:
        block = peer._encoder.encode([(":status", "103"), (b"x-note", b"caf\xe9 \xff"), ("x-empty", "")])
        peer.send(HeadersFrame(STREAM, block, flags=["END_HEADERS"]))

    async with RawServer(Answer("requested", odd)) as server:
        point(server)
        assert lines(await transcribed()) == ALL
        assert server.requests == 1


# Abnormal ends of an answer.


async def reset(peer: Peer) -> None:
    peer.send(RstStreamFrame(STREAM, error_code=0))


async def goaway_without_our_stream(peer: Peer) -> None:
    peer.go_away(0)


async def goaway_for_an_error(peer: Peer) -> None:
    peer.go_away(STREAM, 0xB)
    await peer.close()


async def goaway_and_a_cut(peer: Peer) -> None:
    peer.go_away()
    await peer.close()


async def end_within_a_message(peer: Peer) -> None:
    peer.data(event(result([("w99", 0.0)]))[:-1], is_end=True)


async def end_within_a_prelude(peer: Peer) -> None:
    peer.data(b"\0\0\0", is_end=True)


async def illegal_frame(peer: Peer) -> None:
    frame = WindowUpdateFrame(STREAM, 1)
    peer.write(frame.serialize()[:-4] + bytes(4))  # an increment of 0


BAD: list[Play] = [
    reset,
    goaway_without_our_stream,
    goaway_for_an_error,
    goaway_and_a_cut,
    end_within_a_message,
    end_within_a_prelude,
    illegal_frame,
]


@pytest.mark.parametrize("at", ["midway", "last", "done"])
@pytest.mark.parametrize("play", BAD, ids=named)
async def test_an_abnormal_end_of_the_answer_loses_no_word(
    point: Point, transcribed: Transcribe, play: Play, at: str
) -> None:
    async with RawServer(Answer(at, play, end=nothing_more), transcribe) as server:
        point(server)
        assert lines(await transcribed()) == ALL
        assert server.requests <= 2


async def nothing_more(peer: Peer) -> None:
    """Play nothing: the test's own function has ended the answer."""
