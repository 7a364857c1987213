"""The options of Amazon Transcribe: their declarations, the rules for combining them, and the price of a job.

`engine.py` calls it to check a job before it starts, and `session.py` to build the request. The rules come from AWS's
API reference (`StartStreamTranscription`) and developer guide (language identification, personal data). We do not
check combinations on which these documents are silent: the service refuses those that it does not support.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from streaming.engines.aws.languages import (
    CUSTOM_MODEL_LANGUAGES,
    IDENTIFIED_LANGUAGES,
    LANGUAGES,
    NEVER_IDENTIFIED,
    PERSONAL_DATA_LANGUAGES,
)
from streaming.engines.base import Option, Quote
from streaming.engines.options import abbreviated, invalid, validated

__all__ = ["LANGUAGES", "OPTIONS", "check", "identifies_language", "parameters", "quote"]

LABEL = "Amazon Transcribe"
PRICE_OF_A_SECOND = 0.024 / 60  # US dollars, first tier of the US list price
SHORTEST_REQUEST_SECONDS = 15  # the service bills a shorter stream as this much
NAME = re.compile(r"[0-9a-zA-Z._-]{1,200}")
LANGUAGE_OPTIONS_CHARACTERS, NAMES_CHARACTERS = 200, 3000  # limits of the service's headers, commas included

PERSONAL_DATA = {
    "ALL": "All kinds",
    "NAME": "Names",
    "ADDRESS": "Addresses",
    "EMAIL": "E-mail addresses",
    "PHONE": "Phone numbers",
    "SSN": "Social security numbers",
    "PIN": "PINs",
    "BANK_ACCOUNT_NUMBER": "Bank account numbers",
    "BANK_ROUTING": "Bank routing numbers",
    "CREDIT_DEBIT_NUMBER": "Card numbers",
    "CREDIT_DEBIT_CVV": "Card security codes",
    "CREDIT_DEBIT_EXPIRY": "Card expiry dates",
    "AGE": "Ages",
    "DATE_TIME": "Dates and times",
    "LICENSE_PLATE": "Vehicle registration plates",
    "PASSPORT_NUMBER": "Passport numbers",
    "PASSWORD": "Passwords",
    "USERNAME": "User names",
    "VEHICLE_IDENTIFICATION_NUMBER": "Vehicle identification numbers",
}
EXTRA = "Extra charge, not included above."
ONE_FOR_EACH_LANGUAGE = "When the language is detected: one for each language, separated by commas."

OPTIONS = (
    Option("show_speaker_label", "Identify speakers", "flag"),
    Option(
        "enable_channel_identification",
        "Transcribe channels separately",
        "flag",
        help="For stereo recordings with one speaker per channel.",
    ),
    Option(
        "content_identification_type",
        "Highlight personal data",
        "choice",
        help=EXTRA,
        choices={"PII": "personal data"},
        marks_words=True,
    ),
    Option(
        "content_redaction_type",
        "Redact personal data",
        "choice",
        help=f"Replaces it with [PII]. {EXTRA}",
        choices={"PII": "personal data"},
    ),
    Option(
        "pii_entity_types",
        "Kinds of personal data",
        "choices",
        help="Leave empty for all.",
        choices=PERSONAL_DATA,
    ),
    Option("identify_language", "Detect language", "flag", help="Choose the likely ones below."),
    Option(
        "identify_multiple_languages",
        "Detect several languages",
        "flag",
        help="For recordings that switch between the languages below.",
    ),
    Option(
        "language_options",
        "Likely languages",
        "choices",
        help="Choose 2 to 5, only one variant of each language.",
        choices=IDENTIFIED_LANGUAGES,
    ),
    Option(
        "preferred_language",
        "Preferred language",
        "choice",
        help="Speeds up detection.",
        choices=IDENTIFIED_LANGUAGES,
    ),
    Option(
        "language_model_name", "Custom language model", "text", help=f"The name of a model in the AWS account. {EXTRA}"
    ),
    Option("vocabulary_name", "Vocabulary", "text", help="The name of a custom vocabulary in the AWS account."),
    Option(
        "vocabulary_names",
        "Vocabularies",
        "names",
        help=ONE_FOR_EACH_LANGUAGE,
    ),
    Option("vocab_filter_name", "Vocabulary filter", "text", help="Its name in the AWS account."),
    Option(
        "vocab_filter_names",
        "Vocabulary filters",
        "names",
        help=ONE_FOR_EACH_LANGUAGE,
    ),
    Option(
        "vocab_filter_method",
        "Filtered words",
        "choice",
        choices={"remove": "removed", "mask": "replaced by ***", "tag": "highlighted"},
        marks_words=True,
    ),
    Option(
        "enable_partial_results_stabilization",
        "Faster live text",
        "flag",
        help="Slightly less accurate.",
    ),
    Option(
        "partial_results_stability",
        "Stability",
        "choice",
        choices={"low": "low", "medium": "medium", "high": "high (fastest)"},
    ),
    Option(
        "transcript_format",
        "Numbers and dates",
        "choice",
        help="By default, Amazon Transcribe decides for each language.",
        choices={"written": "in written form (8:30)", "spoken": "as spoken (eight thirty)"},
    ),
)


def label_of(name: str) -> str:
    return next(option.label for option in OPTIONS if option.name == name)


def identifies_language(options: Mapping[str, Any]) -> bool:
    return bool(options.get("identify_language") or options.get("identify_multiple_languages"))


def check(language_code: str, options: Mapping[str, Any], channels: int) -> None:
    """Raise a permanent `EngineError` for a combination that the service would refuse."""
    _check_identified(options)
    given = validated(OPTIONS, options, LABEL)
    _check_language(language_code, given)
    _check_names(given)
    _check_speakers_and_channels(given, channels)
    _check_personal_data(language_code, given)
    if "partial_results_stability" in given and "enable_partial_results_stabilization" not in given:
        raise invalid("“Stability” only applies together with “Faster live text”.")


def _check_identified(options: Mapping[str, Any]) -> None:
    """Refuse languages that can't be detected.

    Runs before `validated`, which would refuse them too, but with a message that does not give the reason.
    """
    expected = options.get("language_options")
    for code in [*(expected if isinstance(expected, list) else []), options.get("preferred_language")]:
        if isinstance(code, str) and code in NEVER_IDENTIFIED:
            raise invalid(f"{LABEL} can't detect {LANGUAGES[code]}. Choose it as the language of the recording.")


def _check_language(language_code: str, given: Mapping[str, Any]) -> None:
    if not identifies_language(given):
        if language_code not in LANGUAGES:
            advice = "Use a code such as en-US or de-DE."
            raise invalid(f"{LABEL} does not support the language “{abbreviated(language_code)}”. {advice}")
        for name in ("language_options", "preferred_language"):
            if name in given:
                raise invalid("Likely languages are only used to detect the language: choose “Detect language”.")
        return
    if "identify_language" in given and "identify_multiple_languages" in given:
        raise invalid("Choose either “Detect language” or “Detect several languages”, not both.")
    if language_code:
        raise invalid("Either choose a language or have it detected, not both.")
    expected = given.get("language_options", [])
    if len(expected) < 2:
        raise invalid("To detect the language, choose at least two likely languages.")
    if len(",".join(expected)) > LANGUAGE_OPTIONS_CHARACTERS:
        raise invalid("These are too many likely languages. Choose 2 to 5.")
    first_of: dict[str, str] = {}
    for code in expected:
        first = first_of.setdefault(code.split("-")[0], code)
        if first != code:
            raise invalid(f"Choose only one variant per language: “{LANGUAGES[first]}” or “{LANGUAGES[code]}”.")
    if "preferred_language" in given:
        if "identify_language" not in given:
            raise invalid(
                "A preferred language needs “Detect language”. It can't be combined with “Detect several languages”."
            )
        if given["preferred_language"] not in expected:
            raise invalid("The preferred language must be one of the likely languages.")


def _check_names(given: Mapping[str, Any]) -> None:
    """Check the names of vocabularies, filters and models, and which of them language detection allows."""
    is_detected = identifies_language(given)
    for one, several, what in (
        ("vocabulary_name", "vocabulary_names", "vocabulary"),
        ("vocab_filter_name", "vocab_filter_names", "vocabulary filter"),
    ):
        if one in given and is_detected:
            raise invalid(
                f"When the language is detected, name one {what} for each language under “{label_of(several)}”."
            )
        if several in given and not is_detected:
            raise invalid(f"A chosen language takes one {what}: name it under “{label_of(one)}”.")
        if len(",".join(given.get(several, []))) > NAMES_CHARACTERS:
            raise invalid(f"The names under “{label_of(several)}” are too long together. Enter fewer.")
        for name in [*given.get(several, []), *([given[one]] if one in given else [])]:
            _check_name(name, what)
    if "vocab_filter_method" in given and not given.keys() & {"vocab_filter_name", "vocab_filter_names"}:
        raise invalid("“Filtered words” needs a vocabulary filter: name one.")
    if "language_model_name" in given:
        _check_name(given["language_model_name"], "custom language model")
        if is_detected:
            raise invalid(
                "A custom language model needs a chosen language. It can't be used while the language is detected."
            )


def _check_name(name: str, what: str) -> None:
    if not NAME.fullmatch(name):
        allowed = "Use at most 200 letters from a to z, digits, dots, dashes and underscores."
        raise invalid(f"“{abbreviated(name)}” can't be the name of a {what}. {allowed}")


def _check_speakers_and_channels(given: Mapping[str, Any], channels: int) -> None:
    if "enable_channel_identification" not in given:
        return
    if "show_speaker_label" in given:
        raise invalid(f"Identify speakers or transcribe channels separately: {LABEL} can't do both at once.")
    if channels != 2:
        has = "one channel" if channels == 1 else f"{channels} channels"
        raise invalid(f"Channels can be transcribed separately only in a stereo recording. This one has {has}.")


def _check_personal_data(language_code: str, given: Mapping[str, Any]) -> None:
    """Check personal data and the custom model, which the service supports only in some languages."""
    if "content_identification_type" in given and "content_redaction_type" in given:
        raise invalid("Choose either “Highlight personal data” or “Redact personal data”, not both.")
    wants_personal_data = "content_identification_type" in given or "content_redaction_type" in given
    if "pii_entity_types" in given and not wants_personal_data:
        raise invalid(
            "To choose kinds of personal data, also choose “Highlight personal data” or “Redact personal data”."
        )
    if wants_personal_data and identifies_language(given):
        raise invalid("Personal data can only be found in a chosen language, not while the language is detected.")
    for is_wanted, languages, what in (
        (wants_personal_data, PERSONAL_DATA_LANGUAGES, "can't find personal data"),
        ("language_model_name" in given, CUSTOM_MODEL_LANGUAGES, "has no custom language models"),
    ):
        if is_wanted and language_code not in languages:
            known = ", ".join(sorted(languages))
            raise invalid(f"{LABEL} {what} in {LANGUAGES[language_code]}. Supported languages: {known}.")


def parameters(language_code: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of the SDK's `start_stream_transcription`, without options that are not set."""
    given = {name: value for name, value in options.items() if value}
    if "enable_channel_identification" in given:
        given["number_of_channels"] = 2  # required with this option; the service refuses the value 1
    return {"language_code": language_code or None, **given}


def quote(duration: float, options: Mapping[str, Any], region: str, pace: float) -> Quote:
    """Return the estimate for `duration` seconds of audio, which is sent at `pace` times real time.

    AWS bills each second begun, and two channels as one. The price does not include the extra charge for personal data
    and custom language models; the fields of these options say so.
    """
    billed = max(SHORTEST_REQUEST_SECONDS, math.ceil(duration))
    return Quote(seconds=duration / pace, price_usd=billed * PRICE_OF_A_SECOND, place=region)
