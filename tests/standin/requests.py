"""Parses the headers of a request and checks them by the service's rules. Raises `ServiceError` for each refusal.

Source: the API reference of StartStreamTranscription.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tests.standin.model import (
    CONTENT_TYPES,
    FILTER_METHODS,
    LANGUAGES,
    MEDIA_ENCODINGS,
    NOT_IDENTIFIED,
    PII_TYPES,
    STABILITIES,
    TRANSCRIPT_FORMATS,
)

PREFIX = "x-amzn-transcribe-"
STATUSES = {
    "BadRequestException": 400,
    "SerializationException": 400,
    "ConflictException": 409,
    "LimitExceededException": 429,
    "InternalFailureException": 500,
    "ServiceUnavailableException": 503,
    "ThrottlingException": 400,
    "ValidationException": 400,
    "UnknownOperationException": 404,
}
FORBIDDEN = 403  # all errors about keys
SAMPLE_BYTES = 2
_SESSION_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class ServiceError(Exception):
    """One of the service's exceptions. It is sent as a response or as an event."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message
        self.status = STATUSES.get(name, FORBIDDEN)


@dataclass(frozen=True)
class Request:
    """The parameters of `StartStreamTranscription`, in Python's types."""

    language_code: str = ""
    sample_rate: int = 16_000
    media_encoding: str = "pcm"
    session_id: str = ""
    identify_language: bool = False
    identify_multiple_languages: bool = False
    language_options: tuple[str, ...] = ()
    preferred_language: str = ""
    vocabulary_name: str = ""
    vocabulary_names: tuple[str, ...] = ()
    vocabulary_filter_name: str = ""
    vocabulary_filter_names: tuple[str, ...] = ()
    vocabulary_filter_method: str = ""
    language_model_name: str = ""
    show_speaker_label: bool = False
    enable_channel_identification: bool = False
    number_of_channels: int | None = None
    enable_partial_results_stabilization: bool = False
    partial_results_stability: str = ""
    content_identification_type: str = ""
    content_redaction_type: str = ""
    pii_entity_types: tuple[str, ...] = ()
    session_resume_window: int | None = None
    transcript_format: str = ""

    @property
    def channels(self) -> int:
        return self.number_of_channels or 1

    @property
    def frame_bytes(self) -> int:
        return SAMPLE_BYTES * self.channels

    @property
    def bytes_per_second(self) -> int:
        return self.frame_bytes * self.sample_rate

    @property
    def is_identified(self) -> bool:
        """Whether the service detects the language."""
        return self.identify_language or self.identify_multiple_languages


def _refuse(message: str) -> ServiceError:
    return ServiceError("BadRequestException", message)


def _need(is_so: object, message: str) -> None:
    if not is_so:
        raise _refuse(message)


def _need_one_of(allowed: frozenset[str], name: str, value: str) -> None:
    """Refuse a value outside an enumeration, with the message of AWS's validation."""
    if value and value not in allowed:
        raise _invalid(name, value, f"Member must satisfy enum value set: [{', '.join(sorted(allowed))}]")


def _need_within(least: int, most: int, name: str, value: int | None) -> None:
    if value is not None and value < least:
        raise _invalid(name, value, f"Member must have value greater than or equal to {least}")
    if value is not None and value > most:
        raise _invalid(name, value, f"Member must have value less than or equal to {most}")


def _invalid(name: str, value: object, constraint: str) -> ServiceError:
    return _refuse(
        f"1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: {constraint}"
    )


def _boolean(name: str, text: str) -> bool:
    _need(text in ("true", "True", "false", "False"), f"{name} must be true or false.")
    return text.lower() == "true"


def _whole(name: str, text: str) -> int:
    _need(text.isascii() and text.isdigit() and len(text) < 10, f"{name} must be a whole number.")
    return int(text)


def parse(headers: Mapping[str, str]) -> Request:
    """Return the request in `headers` (lower-case names). Raises ServiceError."""
    values: dict[str, str | bool | int | tuple[str, ...] | None] = {}
    for name, field in Request.__dataclass_fields__.items():
        header = PREFIX + name.replace("_", "-")
        text = headers.get(header)
        if text is None:
            continue
        if field.type in (bool, "bool"):
            values[name] = _boolean(header, text)
        elif name in ("sample_rate", "number_of_channels", "session_resume_window"):
            values[name] = _whole(header, text)
        elif isinstance(field.default, tuple):
            values[name] = tuple(part.strip() for part in text.split(",") if part.strip())
        else:
            values[name] = text
    _need("sample_rate" in values, "A sample rate is required.")
    _need("media_encoding" in values, "A media encoding is required.")
    request = Request(**values)  # type: ignore[arg-type]
    _check_sound(request)
    _check_language(request)
    _check_options(request)
    return request


def _check_sound(request: Request) -> None:
    _need_one_of(MEDIA_ENCODINGS, "mediaEncoding", request.media_encoding)
    _need(request.media_encoding == "pcm", f"The media encoding '{request.media_encoding}' is not supported here.")
    _need_within(8_000, 48_000, "mediaSampleRateHertz", request.sample_rate)
    _need_within(2, 2, "numberOfChannels", request.number_of_channels)
    if request.number_of_channels is not None:
        _need(request.enable_channel_identification, "NumberOfChannels needs EnableChannelIdentification.")
    elif request.enable_channel_identification:
        raise _refuse("EnableChannelIdentification needs NumberOfChannels.")
    if request.session_id:
        _need(_SESSION_ID.fullmatch(request.session_id), "The session ID must be a UUID.")
    _need_within(1, 300, "sessionResumeWindow", request.session_resume_window)


def _check_language(request: Request) -> None:
    ways = bool(request.language_code) + request.identify_language + request.identify_multiple_languages
    _need(ways == 1, "Give exactly one of LanguageCode, IdentifyLanguage and IdentifyMultipleLanguages.")
    for name, code in (
        ("languageCode", request.language_code),
        ("preferredLanguage", request.preferred_language),
        *(("languageOptions", code) for code in request.language_options),
    ):
        _need_one_of(LANGUAGES, name, code)
    if not request.is_identified:
        _need(not request.language_options, "LanguageOptions need IdentifyLanguage or IdentifyMultipleLanguages.")
        _need(not request.preferred_language, "PreferredLanguage needs IdentifyLanguage or IdentifyMultipleLanguages.")
        _need(not request.vocabulary_names, "VocabularyNames need language identification: use VocabularyName.")
        _need(
            not request.vocabulary_filter_names,
            "VocabularyFilterNames need language identification: use VocabularyFilterName.",
        )
        return
    _need(len(set(request.language_options)) >= 2, "Language identification needs at least two language options.")
    refused = NOT_IDENTIFIED.intersection(request.language_options)
    _need(not refused, f"Language identification doesn't support {', '.join(sorted(refused))}.")
    languages = [code.partition("-")[0] for code in request.language_options]
    _need(len(set(languages)) == len(languages), "LanguageOptions must hold only one dialect of each language.")
    _need(
        not request.preferred_language or request.preferred_language in request.language_options,
        "The preferred language must be one of the language options.",
    )
    _need(not request.vocabulary_name, "With language identification use VocabularyNames instead of VocabularyName.")
    _need(
        not request.vocabulary_filter_name,
        "With language identification use VocabularyFilterNames instead of VocabularyFilterName.",
    )
    _need(not request.language_model_name, "LanguageModelName can't be used with language identification.")


def _check_options(request: Request) -> None:
    _need(
        not (request.show_speaker_label and request.enable_channel_identification),
        "ShowSpeakerLabel and EnableChannelIdentification can't be used together.",
    )
    if request.partial_results_stability:
        _need(
            request.enable_partial_results_stabilization,
            "PartialResultsStability needs EnablePartialResultsStabilization.",
        )
    _need_one_of(STABILITIES, "partialResultsStability", request.partial_results_stability)
    _need_one_of(FILTER_METHODS, "vocabularyFilterMethod", request.vocabulary_filter_method)
    _need_one_of(TRANSCRIPT_FORMATS, "transcriptFormat", request.transcript_format)
    _need_one_of(CONTENT_TYPES, "contentIdentificationType", request.content_identification_type)
    _need_one_of(CONTENT_TYPES, "contentRedactionType", request.content_redaction_type)
    for kind in request.pii_entity_types:
        _need_one_of(PII_TYPES, "piiEntityTypes", kind)
    kinds = (request.content_identification_type, request.content_redaction_type)
    _need(not all(kinds), "ContentIdentificationType and ContentRedactionType can't be used together.")
    _need(any(kinds) or not request.pii_entity_types, "PiiEntityTypes need a content type.")
    for what, names in (
        ("vocabulary", (request.vocabulary_name, *request.vocabulary_names)),
        ("vocabulary filter", (request.vocabulary_filter_name, *request.vocabulary_filter_names)),
        ("language model", (request.language_model_name,)),
    ):
        # Tests use this name for a vocabulary that the account lacks.
        missing = any(name.startswith("missing-") for name in names)
        _need(not missing, f"The requested {what} couldn't be found. Check the {what} name and try your request again.")
