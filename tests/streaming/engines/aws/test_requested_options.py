"""Options that a job requests of Amazon Transcribe: channels, speakers, languages, personal data, filters."""

from pathlib import Path

from streaming.engines.base import Request
from tests.standin import Fault, Service
from tests.streaming.engines.aws.conftest import (
    RATE,
    Point,
    Transcribe,
    expected_words,
    finals,
    spoken,
    two_channels,
)


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


async def test_options_newer_than_the_sdk_are_sent_and_signed(service: Service, transcribe: Transcribe) -> None:
    kinds = ["AGE", "DATE_TIME", "LICENSE_PLATE", "PASSPORT_NUMBER", "PASSWORD", "USERNAME"]
    kinds.append("VEHICLE_IDENTIFICATION_NUMBER")
    options = {"transcript_format": "spoken", "content_redaction_type": "PII", "pii_entity_types": kinds}
    assert spoken(await transcribe(4, Request("en-US", options))) == expected_words(4)
    (request,) = service.requests
    assert request.headers["x-amzn-transcribe-transcript-format"] == "spoken"
    assert request.headers["x-amzn-transcribe-pii-entity-types"] == ",".join(kinds)
    assert "x-amzn-transcribe-transcript-format" in request.headers["authorization"]
