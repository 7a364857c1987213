"""The rules for combining the options of Amazon Transcribe: accepted combinations, and the sentence of each refusal."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.engines.aws.options import LANGUAGES, OPTIONS, check, parameters
from streaming.engines.base import EngineError
from tests.streaming.engines.aws.conftest import IDENTIFIED, SEVERAL

NAMES = [option.name for option in OPTIONS]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([*LANGUAGES, "PII", "low"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


def refusal(language_code: str = "en-US", channels: int = 1, **options: Any) -> str:
    """Return the sentence with which `check` refuses these options."""
    with pytest.raises(EngineError) as caught:
        check(language_code, options, channels)
    assert caught.value.permanent
    return str(caught.value)


SEVEN = [
    *("AGE", "DATE_TIME", "LICENSE_PLATE", "PASSPORT_NUMBER", "PASSWORD", "USERNAME"),
    "VEHICLE_IDENTIFICATION_NUMBER",
]
GOOD: list[tuple[str, int, dict[str, Any]]] = [
    ("en-US", 1, {}),
    ("zu-ZA", 1, {}),
    ("en-US", 2, {"enable_channel_identification": True}),
    ("en-US", 1, {"show_speaker_label": True, "enable_channel_identification": False}),
    ("en-US", 1, {"vocabulary_name": "Surgery-2.final_b", "vocab_filter_name": "x", "vocab_filter_method": "mask"}),
    ("en-US", 1, {"vocabulary_name": "", "vocabulary_names": [], "vocab_filter_method": ""}),
    ("de-DE", 1, {"language_model_name": "m" * 200}),
    ("es-US", 1, {"content_identification_type": "PII"}),
    ("en-GB", 1, {"content_redaction_type": "PII", "pii_entity_types": ["NAME", "SSN"]}),
    ("en-US", 1, {"enable_partial_results_stabilization": True, "partial_results_stability": "high"}),
    ("en-US", 1, {"transcript_format": "spoken"}),
    ("en-US", 1, {"content_redaction_type": "PII", "pii_entity_types": SEVEN}),
    ("sv-SE", 1, {}),
    ("", 1, IDENTIFIED),
    ("", 2, {**SEVERAL, "enable_channel_identification": True}),
    ("", 1, {**IDENTIFIED, "preferred_language": "de-DE"}),
    ("", 1, {**SEVERAL, "vocabulary_names": ["a", "b"], "vocab_filter_names": ["c"], "vocab_filter_method": "tag"}),
]


@pytest.mark.parametrize(("language_code", "channels", "options"), GOOD)
def test_accepts_option_combinations_that_the_service_accepts(
    language_code: str, channels: int, options: dict[str, Any]
) -> None:
    check(language_code, options, channels)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"banana": True}, "The engine “Amazon Transcribe” has no option “banana”."),
        ({"show_speaker_label": "yes"}, "`show_speaker_label` must be true or false."),
        ({"show_speaker_label": None}, "`show_speaker_label` must be true or false."),
        ({"show_speaker_label": 0}, "`show_speaker_label` must be true or false."),
        ({"vocabulary_name": ["a"]}, "`vocabulary_name` must be a string."),
        ({"vocabulary_names": "a"}, "`vocabulary_names` must be a list of strings."),
        ({"vocabulary_names": [""]}, "`vocabulary_names` must be a list of strings."),
        ({"language_options": [["en-US"]]}, "`language_options` must be a list of strings."),
        ({"language_options": ["en-US", "tlh"]}, "`language_options` can't be “tlh”."),
        ({"language_options": ["en-US", "en-US"]}, "`language_options` has “en-US” twice."),
        ({"vocabulary_names": ["a"] * 101}, "`vocabulary_names` has too many entries."),
        (
            {"partial_results_stability": "rocky"},
            "`partial_results_stability` can't be “rocky”. Choose one of: low, medium, high.",
        ),
        ({"content_redaction_type": "PHI"}, "`content_redaction_type` can't be “PHI”. Choose one of: PII."),
        ({"vocabulary_name": "x" * 60_000}, f"`vocabulary_name` can't be “{'x' * 40}…”."),
    ],
)
def test_refuses_an_invalid_option_value_by_name(options: dict[str, Any], sentence: str) -> None:
    assert refusal(**options) == sentence


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"show_speaker_label": True, "enable_channel_identification": True},
            "Identify speakers or transcribe channels separately: Amazon Transcribe can't do both at once.",
        ),
        (
            {"enable_channel_identification": True},
            "Channels can be transcribed separately only in a stereo recording. This one has one channel.",
        ),
        (
            {"enable_channel_identification": True, "channels": 6},
            "Channels can be transcribed separately only in a stereo recording. This one has 6 channels.",
        ),
        (
            {"partial_results_stability": "low"},
            "“Stability” only applies together with “Faster live text”.",
        ),
        (
            {"language_options": ["en-US", "de-DE"]},
            "Likely languages are only used to detect the language: choose “Detect language”.",
        ),
        (
            {"preferred_language": "de-DE"},
            "Likely languages are only used to detect the language: choose “Detect language”.",
        ),
        (
            {"vocabulary_names": ["a"]},
            "A chosen language takes one vocabulary: name it under “Vocabulary”.",
        ),
        (
            {"vocab_filter_names": ["a"]},
            "A chosen language takes one vocabulary filter: name it under “Vocabulary filter”.",
        ),
        (
            {"vocab_filter_method": "mask"},
            "“Filtered words” needs a vocabulary filter: name one.",
        ),
        (
            {"vocabulary_name": "my words"},
            "“my words” can't be the name of a vocabulary. Use at most 200 letters from a to z, digits, dots, dashes "
            "and underscores.",
        ),
        (
            {"content_identification_type": "PII", "content_redaction_type": "PII"},
            "Choose either “Highlight personal data” or “Redact personal data”, not both.",
        ),
        (
            {"pii_entity_types": ["NAME"]},
            "To choose kinds of personal data, also choose “Highlight personal data” or “Redact personal data”.",
        ),
        (
            {"language_code": "ja-JP", "content_redaction_type": "PII"},
            "Amazon Transcribe can't find personal data in Japanese. Supported languages: de-CH, de-DE, en-AB, "
            "en-AU, en-GB, en-IE, en-IN, en-NZ, en-US, en-WL, en-ZA, es-ES, es-US, fr-CA, fr-FR, it-IT, pt-BR, pt-PT.",
        ),
        (
            {"language_code": "zu-ZA", "language_model_name": "mine"},
            "Amazon Transcribe has no custom language models in Zulu. Supported languages: de-DE, en-AU, en-GB, "
            "en-US, es-US, ja-JP.",
        ),
        (
            {"language_code": "tlh"},
            "Amazon Transcribe does not support the language “tlh”. Use a code such as en-US or de-DE.",
        ),
        (
            {"language_code": "en-CA"},
            "Amazon Transcribe does not support the language “en-CA”. Use a code such as en-US or de-DE.",
        ),
        (
            {"transcript_format": "WRITTEN"},
            "`transcript_format` can't be “WRITTEN”. Choose one of: written, spoken.",
        ),
        (
            {"language_code": ""},
            "Amazon Transcribe does not support the language “”. Use a code such as en-US or de-DE.",
        ),
    ],
)
def test_refuses_a_contradictory_combination_of_options(options: dict[str, Any], sentence: str) -> None:
    assert refusal(**options) == sentence


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (IDENTIFIED | SEVERAL, "Choose either “Detect language” or “Detect several languages”, not both."),
        (
            {"identify_language": True},
            "To detect the language, choose at least two likely languages.",
        ),
        (
            {"identify_multiple_languages": True, "language_options": ["de-DE"]},
            "To detect the language, choose at least two likely languages.",
        ),
        (
            {"identify_language": True, "language_options": ["en-US", "de-DE", "en-AU"]},
            "Choose only one variant per language: “English, US” or “English, Australian”.",
        ),
        (
            {"identify_language": True, "language_options": [*LANGUAGES][:40]},
            "These are too many likely languages. Choose 2 to 5.",
        ),
        (
            {"identify_language": True, "language_options": ["en-US", "sv-SE"]},
            "Amazon Transcribe can't detect Swedish. Choose it as the language of the recording.",
        ),
        (
            {"identify_multiple_languages": True, "language_options": ["vi-VN", "de-DE"]},
            "Amazon Transcribe can't detect Vietnamese. Choose it as the language of the recording.",
        ),
        (
            IDENTIFIED | {"preferred_language": "vi-VN"},
            "Amazon Transcribe can't detect Vietnamese. Choose it as the language of the recording.",
        ),
        (
            IDENTIFIED | {"preferred_language": "fr-FR"},
            "The preferred language must be one of the likely languages.",
        ),
        (
            SEVERAL | {"preferred_language": "de-DE"},
            "A preferred language needs “Detect language”. It can't be combined with “Detect several languages”.",
        ),
        (
            IDENTIFIED | {"vocabulary_name": "a"},
            "When the language is detected, name one vocabulary for each language under “Vocabularies”.",
        ),
        (
            SEVERAL | {"vocab_filter_name": "a"},
            "When the language is detected, name one vocabulary filter for each language under “Vocabulary filters”.",
        ),
        (
            IDENTIFIED | {"vocabulary_names": ["a" * 190 + str(number) for number in range(20)]},
            "The names under “Vocabularies” are too long together. Enter fewer.",
        ),
        (
            IDENTIFIED | {"language_model_name": "a"},
            "A custom language model needs a chosen language. It can't be used while the language is detected.",
        ),
        (
            SEVERAL | {"content_redaction_type": "PII"},
            "Personal data can only be found in a chosen language, not while the language is detected.",
        ),
    ],
)
def test_refuses_options_that_language_detection_excludes(options: dict[str, Any], sentence: str) -> None:
    assert refusal("", **options) == sentence


def test_refuses_a_chosen_language_with_language_detection() -> None:
    sentence = "Either choose a language or have it detected, not both."
    assert refusal("en-US", **IDENTIFIED) == sentence
    assert refusal("tlh", **SEVERAL) == sentence


@given(
    language_code=st.sampled_from(["en-US", "", "x"]) | st.text(max_size=20),
    options=st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=10), JSON, max_size=5),
    channels=st.integers(1, 3),
)
def test_any_json_is_accepted_or_refused_with_a_sentence(
    language_code: str, options: dict[str, Any], channels: int
) -> None:
    try:
        check(language_code, options, channels)
    except EngineError as error:
        assert error.permanent
        assert 10 < len(str(error)) < 400
    else:
        arguments = parameters(language_code, options)
        assert all(value for name, value in arguments.items() if name != "language_code")
