"""The options of Amazon Transcribe: their declarations, their descriptions, the SDK's arguments, and the price."""

import inspect
from typing import Any

import pytest
from amazon_transcribe.client import TranscribeStreamingClient

from streaming.engines import options as engine_options
from streaming.engines.aws.options import LANGUAGES, OPTIONS, identifies_language, parameters, quote
from streaming.engines.aws.transport import NEWER_HEADERS
from streaming.engines.base import Quote
from tests.streaming.engines.aws.conftest import IDENTIFIED, SEVERAL


def test_languages_are_sorted_by_name_after_the_default() -> None:
    codes, names = [*LANGUAGES], [*LANGUAGES.values()]
    assert (codes[0], names[0], len(codes)) == ("en-US", "English, US", 99)
    assert names[1:] == sorted(names[1:])
    assert len({*names}) == len(names)


def test_options_are_arguments_of_the_sdk() -> None:
    names = [option.name for option in OPTIONS]
    known = inspect.signature(TranscribeStreamingClient.start_stream_transcription).parameters
    assert {*names} <= {*known, *NEWER_HEADERS}, "options newer than the SDK have headers of their own"
    assert len(names) == len({*names}) == 18


def test_recognises_options_that_detect_the_language() -> None:
    assert identifies_language(IDENTIFIED)
    assert identifies_language(SEVERAL)
    assert not identifies_language({"identify_language": False, "language_options": ["en-US"]})


@pytest.mark.parametrize(
    ("language_code", "options", "arguments"),
    [
        ("en-US", {}, {"language_code": "en-US"}),
        ("", IDENTIFIED, {"language_code": None, **IDENTIFIED}),
        (
            "de-DE",
            {"enable_channel_identification": True, "show_speaker_label": False, "vocabulary_name": ""},
            {"language_code": "de-DE", "enable_channel_identification": True, "number_of_channels": 2},
        ),
        (
            "en-US",
            {"content_redaction_type": "PII", "pii_entity_types": ["NAME"]},
            {"language_code": "en-US", "content_redaction_type": "PII", "pii_entity_types": ["NAME"]},
        ),
        ("en-US", {"transcript_format": "written"}, {"language_code": "en-US", "transcript_format": "written"}),
    ],
)
def test_the_sdk_receives_only_options_that_are_set(
    language_code: str, options: dict[str, Any], arguments: dict[str, Any]
) -> None:
    assert parameters(language_code, options) == arguments
    named = inspect.signature(TranscribeStreamingClient.start_stream_transcription).parameters
    assert arguments.keys() <= {*named, *NEWER_HEADERS}


@pytest.mark.parametrize(
    ("duration", "pace", "seconds", "price"),
    [(720.0, 1.0, 720.0, 0.288), (720.1, 1.0, 720.1, 0.2884), (3.0, 1.0, 3.0, 0.006), (600.0, 4.0, 150.0, 0.24)],
)
def test_quote_is_the_duration_and_the_list_price(duration: float, pace: float, seconds: float, price: float) -> None:
    found = quote(duration, {}, "eu-west-1", pace)
    assert found == Quote(seconds, found.price_usd, "eu-west-1")
    assert found.price_usd == pytest.approx(price)


def test_describes_options_that_are_set() -> None:
    asked = {"show_speaker_label": True, "content_identification_type": "PII", "vocabulary_name": "surgery"}
    rest = {"language_options": ["en-US", "de-DE"], "pii_entity_types": ["NAME"]}
    unset = {"enable_channel_identification": False}
    of_before = {"banana": 1, "partial_results_stability": "rocky"}
    assert engine_options.descriptions(OPTIONS, asked | rest | unset | of_before) == [
        "Identify speakers",
        "Highlight personal data",
        "Kinds of personal data: Names",
        "Likely languages: English, US / German",
        "Vocabulary: surgery",
    ]
