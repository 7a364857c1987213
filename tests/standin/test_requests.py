"""The parameters that the service accepts and refuses."""

from typing import Any

import pytest

from tests.standin.client import options
from tests.standin.requests import Request, ServiceError, parse

IDENTIFY = {"language_code": None, "identify_language": True, "language_options": "en-US,de-DE"}
STEREO = {"enable_channel_identification": True, "number_of_channels": 2}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, Request("en-US")),
        ({"sample_rate": 8_000}, Request("en-US", 8_000)),
        (STEREO, Request("en-US", enable_channel_identification=True, number_of_channels=2)),
        (
            {**IDENTIFY, "preferred_language": "de-DE", "vocabulary_names": "a,b"},
            Request(
                identify_language=True,
                language_options=("en-US", "de-DE"),
                preferred_language="de-DE",
                vocabulary_names=("a", "b"),
            ),
        ),
        (
            {"content_redaction_type": "PII", "pii_entity_types": "NAME,EMAIL"},
            Request("en-US", content_redaction_type="PII", pii_entity_types=("NAME", "EMAIL")),
        ),
        (
            {"transcript_format": "spoken", "session_resume_window": 5},
            Request("en-US", transcript_format="spoken", session_resume_window=5),
        ),
        (
            {"content_identification_type": "PII", "pii_entity_types": "AGE,VEHICLE_IDENTIFICATION_NUMBER"},
            Request(
                "en-US", content_identification_type="PII", pii_entity_types=("AGE", "VEHICLE_IDENTIFICATION_NUMBER")
            ),
        ),
        (
            {"enable_partial_results_stabilization": "true", "partial_results_stability": "high"},
            Request("en-US", enable_partial_results_stabilization=True, partial_results_stability="high"),
        ),
        (
            {"show_speaker_label": False, "vocabulary_filter_name": "rude", "vocabulary_filter_method": "tag"},
            Request("en-US", vocabulary_filter_name="rude", vocabulary_filter_method="tag"),
        ),
    ],
)
def test_service_accepts_valid_requests(values: dict[str, Any], expected: Request) -> None:
    assert parse(options(**values)) == expected


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"media_encoding": "mp3"}, "mediaEncoding"),
        ({"media_encoding": "flac"}, "not supported here"),
        ({"media_encoding": None}, "media encoding"),
        ({"sample_rate": None}, "sample rate"),
        ({"sample_rate": 7_999}, "greater than or equal to 8000"),
        ({"sample_rate": 48_001}, "less than or equal to 48000"),
        ({"sample_rate": "fast"}, "whole number"),
        ({"language_code": "tlh-QX"}, "tlh-QX"),
        ({"language_code": None}, "exactly one"),
        ({"identify_language": True, "language_options": "en-US,de-DE"}, "exactly one"),
        ({**IDENTIFY, "identify_multiple_languages": True}, "exactly one"),
        ({**IDENTIFY, "language_options": "en-US"}, "at least two"),
        ({**IDENTIFY, "language_options": "en-US,tlh-QX"}, "tlh-QX"),
        ({**IDENTIFY, "preferred_language": "fr-FR"}, "one of the language options"),
        ({"language_options": "en-US,de-DE"}, "LanguageOptions"),
        ({"preferred_language": "en-US"}, "PreferredLanguage"),
        ({**IDENTIFY, "vocabulary_name": "terms"}, "VocabularyNames"),
        ({**IDENTIFY, "vocabulary_filter_name": "rude"}, "VocabularyFilterNames"),
        ({**IDENTIFY, "language_model_name": "legal"}, "LanguageModelName"),
        ({"vocabulary_names": "a,b"}, "VocabularyName"),
        ({"vocabulary_filter_names": "a,b"}, "VocabularyFilterName"),
        ({"number_of_channels": 1}, "Value '1' at 'numberOfChannels'"),
        ({"number_of_channels": 2}, "EnableChannelIdentification"),
        ({**STEREO, "number_of_channels": 1}, "greater than or equal to 2"),
        ({**STEREO, "number_of_channels": 3}, "less than or equal to 2"),
        ({**STEREO, "number_of_channels": None}, "NumberOfChannels"),
        ({**STEREO, "show_speaker_label": True}, "ShowSpeakerLabel"),
        ({"show_speaker_label": "yes"}, "true or false"),
        ({"partial_results_stability": "high"}, "EnablePartialResultsStabilization"),
        ({"enable_partial_results_stabilization": True, "partial_results_stability": "top"}, "[high, low, medium]"),
        ({"vocabulary_filter_method": "shout"}, "[mask, remove, tag]"),
        ({"content_identification_type": "PII", "content_redaction_type": "PII"}, "together"),
        ({"content_redaction_type": "SECRETS"}, "contentRedactionType"),
        ({"content_redaction_type": "PII", "pii_entity_types": "NAME,SHOE_SIZE"}, "SHOE_SIZE"),
        ({"transcript_format": "shouted"}, "[spoken, written]"),
        ({"session_resume_window": 301}, "less than or equal to 300"),
        ({**IDENTIFY, "language_options": "en-US,en-GB"}, "one dialect"),
        ({**IDENTIFY, "language_options": "en-US,sv-SE"}, "sv-SE"),
        ({"pii_entity_types": "NAME"}, "content type"),
        ({"session_id": "mine"}, "UUID"),
        ({"vocabulary_name": "missing-terms"}, "requested vocabulary couldn't be found"),
        ({"vocabulary_filter_name": "missing-filter"}, "requested vocabulary filter couldn't be found"),
        ({"language_model_name": "missing-model"}, "requested language model couldn't be found"),
    ],
)
def test_service_refuses_invalid_requests(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ServiceError) as raised:
        parse(options(**values))
    assert (raised.value.name, raised.value.status) == ("BadRequestException", 400)
    assert words in raised.value.message
