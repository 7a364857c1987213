"""Content of an answer: other events, and missing and unexpected fields. Jobs and the connection test read it alike."""

import json
from typing import Any

import pytest

from streaming.engines.aws.engine import AwsEngine
from streaming.engines.base import EngineError
from tests.interop.raw.answers import Answer
from tests.interop.raw.conftest import ALL, Point, Transcribe, lines
from tests.interop.raw.event_stream import event, message, result
from tests.interop.raw.peer import Peer
from tests.interop.raw.server import RawServer


async def test_a_channel_on_mono_results_is_ignored(point: Point, transcribed: Transcribe) -> None:
    async with RawServer(Answer(ChannelId="ch_0")) as server:
        point(server)
        results = await transcribed()
        assert lines(results) == ALL
        assert server.requests == 1
    assert {(result.slot, result.channel) for result in results} == {("0", "")}


@pytest.mark.parametrize(
    "fields",
    [
        {"ChannelId": "ch_1"},
        {"ChannelId": None, "LanguageCode": None},
        {"ResultId": None},
        {"StartTime": None},
        {"EndTime": None},
        {"StartTime": None, "EndTime": None},
        {"StartTime": "?", "EndTime": -1},
        {"LanguageIdentification": [{"LanguageCode": "en-US", "Score": 0.9}], "Novelty": {"a": [1]}},
    ],
    ids=str,
)
async def test_an_unexpected_or_missing_field_loses_no_word(
    point: Point, transcribed: Transcribe, fields: dict[str, Any]
) -> None:
    async with RawServer(Answer(**fields)) as server:
        point(server)
        assert lines(await transcribed()) == ALL
        assert server.requests == 1


EVENTS = {
    "initial-response": event({}, "initial-response"),
    "initial-response without JSON": event(b"", "initial-response"),
    "another event": event({"Category": {}}, "CategoryEvent"),
    "another event without JSON": event(b"\xff\xfe", "UtteranceEvent"),
    "no headers": message(b"{}"),
    "no payload": message(b""),
    "no event type": message(json.dumps({"Transcript": {}}).encode(), message_type="event"),
    "no transcript": event({}),
    "an empty transcript": event({"Transcript": {}}),
    "no results": event({"Transcript": {"Results": []}}),
    "results of null": event({"Transcript": {"Results": None}}),
    "a result of null": event({"Transcript": {"Results": [None]}}),
    "a result without alternatives": event(result([("w9", 0.0)], Alternatives=[])),
    "a result with other alternatives": event(result([("w9", 0.0)], Alternatives=["?"], IsPartial=True)),
}


@pytest.mark.parametrize("at", ["midway", "done"])
@pytest.mark.parametrize("sent", EVENTS.values(), ids=EVENTS.keys())
async def test_an_event_without_words_does_not_interrupt_the_stream(
    point: Point, transcribed: Transcribe, sent: bytes, at: str
) -> None:
    async def send(peer: Peer) -> None:
        peer.data(sent)

    async with RawServer(Answer(at, send)) as server:
        point(server)
        assert lines(await transcribed()) == ALL
        assert server.requests == 1


async def test_an_answer_without_any_readable_text_is_an_error(
    point: Point, transcribed: Transcribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.worker.retry.MOST_FAILURES", 1)
    async with RawServer(Answer(Alternatives=[{"Text": "w0"}])) as server:
        point(server)
        with pytest.raises(EngineError, match="sent an answer that can't be read: results without a text"):
            await transcribed()


async def test_the_connection_test_reports_recognised_words(point: Point) -> None:
    async def answer(peer: Peer) -> None:
        peer.settings()
        await peer.until_requested()
        peer.accept()
        await peer.until(lambda: peer.has_ended)
        peer.data(event({"Transcript": {}}))
        peer.data(event(result([("best", 1.0), ("of", 1.5)], ChannelId="ch_0")))
        peer.end()

    async with RawServer(answer) as server:
        point(server)
        sentence = await AwsEngine.test_connection()
        assert sentence.startswith("Amazon Transcribe in eu-west-1 accepted the key AKIA…MPLE and answered in ")
        assert sentence.endswith(" s. It recognised “best of”.")
        assert len(server.peers[0]._pcm) == 3 * 48_000 * 2, "the test sends three seconds of the sample"


async def test_the_connection_test_fails_where_a_job_would(point: Point) -> None:
    async def answer(peer: Peer) -> None:
        peer.settings()
        await peer.until_requested()
        peer.accept()
        await peer.until(lambda: peer.has_ended)
        peer.data(event(result([("best", 1.0)], Alternatives=[{"Text": "best"}])))
        peer.end()

    async with RawServer(answer) as server:
        point(server)
        with pytest.raises(EngineError, match="results without a text"):
            await AwsEngine.test_connection()
