"""Complete streams to the stand-in of Amazon Transcribe: the requests, the audio sent, and the results."""

import asyncio
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from streaming.engines.aws import session
from streaming.engines.aws.engine import AwsEngine
from streaming.engines.aws.results import Timeline
from streaming.engines.base import Request
from streaming.engines.scripted import encode_number
from streaming.spool import Spool
from streaming.worker.retry import transcribe_with_retries
from tests.standin import Fault, Key, Service
from tests.standin.recognition import Segment
from tests.streaming.conftest import numbers
from tests.streaming.engines.aws.conftest import (
    RATE,
    Point,
    Transcribe,
    expected_words,
    finals,
    sent_seconds,
    spoken,
    two_channels,
)


async def test_engine_returns_every_word_once_with_time_and_confidence(
    service: Service, transcribe: Transcribe
) -> None:
    results = await transcribe(30)
    assert spoken(results) == expected_words(30)
    first = finals(results)[0]
    assert (first.text, first.start_time, first.end_time, first.slot) == ("w0 w1 w2 w3.", 0.0, 2.0, "0")
    assert [(word.text, word.start_time, word.end_time) for word in first.words][-1] == ("w3.", 1.5, 2.0)
    assert first.words[0].confidence == 0.9
    assert [result.text for result in results[:4]] == ["w0", "w0 w1", "w0 w1 w2", "w0 w1 w2 w3."]
    (request,) = service.requests
    assert request.end == "end_stream"
    assert sent_seconds(request) == 15.0
    assert request.billed_seconds == math.ceil(request.audio_seconds)
    assert request.headers["x-amzn-transcribe-session-id"] == request.session_id


async def test_audio_is_sent_in_chunks_of_100_ms_at_the_declared_rate(service: Service, transcribe: Transcribe) -> None:
    await transcribe(4)
    assert spoken(await transcribe(4, sample_rate=8_000)) == expected_words(4)
    wide, narrow = service.requests
    assert (wide.headers["x-amzn-transcribe-sample-rate"], wide.largest_chunk_bytes) == ("16000", 3200)
    assert wide.chunks == round(wide.audio_seconds * 10)
    assert sent_seconds(wide) == 2.0
    assert (narrow.headers["x-amzn-transcribe-sample-rate"], narrow.largest_chunk_bytes) == ("8000", 1600)


async def test_a_mono_stream_declares_no_number_of_channels(service: Service, transcribe: Transcribe) -> None:
    await transcribe(4)
    assert "x-amzn-transcribe-number-of-channels" not in service.requests[0].headers


async def test_audio_is_sent_in_real_time(service: Service, transcribe: Transcribe) -> None:
    began = time.monotonic()
    await transcribe(40)
    assert 20 / RATE <= time.monotonic() - began < 20, "the pace applies to the service's clock and not to real time"


async def test_a_stream_of_twelve_minutes_outlives_its_signature(point: Point, transcribe: Transcribe) -> None:
    async with Service(rate=30.0) as service:  # so that a signature is valid for ten seconds of real time
        point(service)
        assert spoken(await transcribe(12 * 60 * 2)) == expected_words(12 * 60 * 2)
        (request,) = service.requests
        assert request.end == "end_stream"
        assert sent_seconds(request) == 12 * 60.0


async def test_engine_sends_silence_for_late_audio_and_times_stay_correct(service: Service, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "slow.pcm", 16_000, 1)
    recording = b"".join(encode_number(number).tobytes() for number in range(12))
    half = len(recording) // 2

    async def decode_slowly() -> None:
        spool.path.write_bytes(recording)
        await spool._grow(half // 2, is_complete=False)
        await asyncio.sleep(40 / RATE)  # on the service's clock; it ends a stream after 15 s without audio
        await spool._grow(half, is_complete=True)

    spool.path.touch()
    decoding = asyncio.create_task(decode_slowly())
    results = [result async for result in transcribe_with_retries(AwsEngine(), spool, Request("en-US"))]
    await decoding
    assert spoken(results) == expected_words(12)
    (request,) = service.requests
    assert request.audio_seconds > 6.0, "the engine has sent silence"
    assert request.exception == ""


async def test_engine_waits_for_results_that_pause(service: Service, transcribe: Transcribe) -> None:
    service.faults = [Fault("pause", at=2.0, seconds=15.0)]
    assert spoken(await transcribe(60)) == expected_words(60)
    assert len(service.requests) == 1


async def test_engine_opens_another_stream_for_unconfirmed_words(service: Service, transcribe: Transcribe) -> None:
    service.faults = [Fault("drop_last")]
    results = await transcribe(10)
    assert spoken(results) == expected_words(10)
    assert not any(final.is_provisional for final in finals(results))
    assert service.requests[1].numbers[0] == (8, 0.0)


async def test_words_that_stay_unconfirmed_are_kept_as_provisional(service: Service, transcribe: Transcribe) -> None:
    service.faults = [Fault("drop_last"), Fault("drop_last")]
    results = await transcribe(10)
    assert spoken(results) == expected_words(10)
    assert len(service.requests) == 2
    assert [(final.text, final.is_provisional) for final in finals(results)][1:] == [
        ("w4 w5 w6 w7.", False),
        ("w8 w9", True),
    ]


async def test_engine_ends_an_answer_that_never_ends_and_keeps_its_words(
    service: Service, transcribe: Transcribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "DRAIN_SECONDS", 1.0)
    service.faults = [Fault("never_ends"), Fault("never_ends")]
    results = await transcribe(10)
    assert spoken(results) == expected_words(10)
    assert finals(results)[-1].is_provisional
    assert len(service.requests) == 2


async def test_each_of_two_channels_has_its_own_slot(service: Service, transcribe: Transcribe, tmp_path: Path) -> None:
    path = two_channels(tmp_path / "stereo.wav", 12)
    results = await transcribe(request=Request("en-US", {"enable_channel_identification": True}), path=path)
    assert spoken(results, "ch_0") == expected_words(12)
    assert spoken(results, "ch_1") == [(number + 100, time) for number, time in expected_words(12)]
    assert {(result.slot, result.channel) for result in results} == {("ch_0", "ch_0"), ("ch_1", "ch_1")}
    (request,) = service.requests
    assert request.headers["x-amzn-transcribe-number-of-channels"] == "2"
    assert request.largest_chunk_bytes == 6400


async def test_each_turn_of_a_speaker_is_a_final(point: Point, transcribe: Transcribe) -> None:
    # Speakers alternate every five words, and one result of the service spans two turns.
    async with Service(rate=RATE, words_per_final=10) as service:
        point(service)
        results = finals(await transcribe(20, Request("en-US", {"show_speaker_label": True})))
    assert [(result.speaker, result.text, result.start_time, result.end_time) for result in results] == [
        ("Speaker 1", "w0 w1 w2 w3 w4", 0.0, 2.5),
        ("Speaker 2", "w5 w6 w7 w8 w9.", 2.5, 5.0),
        ("Speaker 1", "w10 w11 w12 w13 w14", 5.0, 7.5),
        ("Speaker 2", "w15 w16 w17 w18 w19.", 7.5, 10.0),
    ]
    assert spoken(results) == expected_words(20)


async def test_speakers_after_a_resume_get_new_labels(service: Service, transcribe: Transcribe) -> None:
    service.faults = [Fault("reset", at=7.0)]
    results = finals(await transcribe(40, Request("en-US", {"show_speaker_label": True})))
    assert spoken(results) == expected_words(40)
    assert [*dict.fromkeys(result.speaker for result in results)] == [f"Speaker {number}" for number in (1, 2, 3, 4)]


async def test_finals_have_the_detected_language(service: Service, transcribe: Transcribe) -> None:
    options = {"identify_multiple_languages": True, "language_options": ["en-US", "de-DE"]}
    results = finals(await transcribe(16, Request("", options)))
    assert {result.language_code for result in results} == {"en-US", "de-DE"}
    assert "x-amzn-transcribe-language-code" not in service.requests[0].headers


async def test_a_partial_counts_its_stable_characters(service: Service, transcribe: Transcribe) -> None:
    results = await transcribe(4, Request("en-US", {"enable_partial_results_stabilization": True}))
    assert [(result.text, result.stable) for result in results] == [
        ("w0", 0),
        ("w0 w1", 2),
        ("w0 w1 w2", 5),
        ("w0 w1 w2 w3.", 0),
    ]


async def test_personal_data_is_marked_or_redacted(service: Service, transcribe: Transcribe) -> None:
    marked = finals(await transcribe(10, Request("en-US", {"content_identification_type": "PII"})))
    assert [word.text for final in marked for word in final.words if word.pii == "NAME"] == ["w0", "w7."]
    taken_out = finals(await transcribe(10, Request("en-US", {"content_redaction_type": "PII"})))
    assert taken_out[0].text == "[PII] w1 w2 w3."


async def test_words_of_a_vocabulary_filter_are_tagged(service: Service, transcribe: Transcribe) -> None:
    options = {"vocab_filter_name": "rude", "vocab_filter_method": "tag"}
    results = finals(await transcribe(14, Request("en-US", options)))
    assert [word.text for final in results for word in final.words if word.vocabulary_filter_match] == ["w0", "w11."]


async def test_a_key_that_changes_mid_stream_is_used_for_the_next_stream(
    service: Service, transcribe: Transcribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.faults = [Fault("cut", at=10.0)]

    def change_key(_: Segment) -> None:
        service.keys["AKIANEW"] = Key("new secret", session_token="a token")
        for name, value in (
            ("ACCESS_KEY_ID", "AKIANEW"),
            ("SECRET_ACCESS_KEY", "new secret"),
            ("SESSION_TOKEN", "a token"),
        ):
            monkeypatch.setenv(f"AWS_{name}", value)

    service.on_segment = change_key
    assert spoken(await transcribe(40)) == expected_words(40)
    first, second = (request.headers["authorization"] for request in service.requests)
    assert "Credential=AKIANEW/" not in first
    assert "Credential=AKIANEW/" in second


async def test_credentials_are_found_where_aws_tools_find_them(
    service: Service, transcribe: Transcribe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The credentials come from a program that a profile names; the SDK's own lookup does not support this form."""
    (key_id, key), *_ = service.keys.items()
    program = tmp_path / "keys.py"
    program.write_text(f'print(\'{{"Version": 1, "AccessKeyId": "{key_id}", "SecretAccessKey": "{key.secret}"}}\')')
    (tmp_path / "config").write_text(f"[profile work]\ncredential_process = {sys.executable} {program}\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert spoken(await transcribe(4)) == expected_words(4)


async def test_each_job_has_its_own_connection(service: Service, transcribe: Transcribe, tmp_path: Path) -> None:
    path = numbers(tmp_path / "shared.wav", 12)
    heard = await asyncio.gather(*(transcribe(path=path) for _ in range(5)))
    assert [spoken(results) for results in heard] == [expected_words(12)] * 5
    assert len({request.connection for request in service.requests}) == len(service.requests) == 5


async def test_a_service_that_reads_nothing_applies_back_pressure(
    service: Service, transcribe: Transcribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    unsent: list[int] = []
    send = session.Stream.send

    async def watched(self: session.Stream, chunk: bytes, most: int, seconds: float) -> None:
        await send(self, chunk, most, seconds)
        unsent.append(self._connection.unsent_bytes)

    monkeypatch.setattr(session.Stream, "send", watched)
    monkeypatch.setattr("streaming.engines.aws.connection.PING_SECONDS", 1.0)
    service.faults = [Fault("hang", at=1.0)]
    assert spoken(await transcribe(200)) == expected_words(200)
    assert max(unsent) < 2 * 32_000, "at most one second of audio and the current chunk may wait"
    assert len(service.requests) == 2


async def test_audio_is_never_sent_more_than_a_second_early(
    service: Service, transcribe: Transcribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    began: list[float] = []
    sent: list[tuple[float, float]] = []
    send, add = session.Session._send, Timeline.add

    async def begin(self: session.Session, *arguments: Any) -> None:
        began.append(time.monotonic())
        await send(self, *arguments)

    def watched(self: Timeline, seconds: float) -> None:
        add(self, seconds)
        sent.append((time.monotonic(), self.sent_seconds))

    monkeypatch.setattr(session.Session, "_send", begin)
    monkeypatch.setattr(Timeline, "add", watched)
    await transcribe(60)
    assert max(seconds - (moment - began[0]) * RATE for moment, seconds in sent) <= 1.0


async def test_a_setting_changes_the_pace(service: Service, transcribe: Transcribe, settings: Any) -> None:
    settings.TRANSCRIBE_AWS_PACE = RATE / 2
    began = time.monotonic()
    await transcribe(20)
    assert time.monotonic() - began >= 9.6 / (RATE / 2), "the last 0.4 s are sent together"


def test_amazons_libraries_are_imported_only_by_a_job() -> None:
    program = (
        "import os, sys, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'tests.settings'; django.setup();"
        "from django.conf import settings; settings.TRANSCRIBE_ENGINES = ['local', 'aws'];"
        "import streaming.worker.runner, streaming.live.consumers, streaming.web.forms;"
        "from streaming.engines.registry import engine_classes; engine_classes(); streaming.web.forms.StartForm();"
        "print(sorted({'awscrt', 'amazon_transcribe', 'botocore', 'h2'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "[]\n"


async def test_options_newer_than_the_sdk_are_sent_and_signed(service: Service, transcribe: Transcribe) -> None:
    kinds = ["AGE", "DATE_TIME", "LICENSE_PLATE", "PASSPORT_NUMBER", "PASSWORD", "USERNAME"]
    kinds.append("VEHICLE_IDENTIFICATION_NUMBER")
    options = {"transcript_format": "spoken", "content_redaction_type": "PII", "pii_entity_types": kinds}
    assert spoken(await transcribe(4, Request("en-US", options))) == expected_words(4)
    (request,) = service.requests
    assert request.headers["x-amzn-transcribe-transcript-format"] == "spoken"
    assert request.headers["x-amzn-transcribe-pii-entity-types"] == ",".join(kinds)
    assert "x-amzn-transcribe-transcript-format" in request.headers["authorization"]
