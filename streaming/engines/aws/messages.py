"""Parses the answers of Amazon Transcribe: messages of the event stream, results in JSON, and error responses.

`transport.py` calls it. If a field is missing or has an unexpected type, the parser drops only that field and keeps the
words beside it; `results.py` derives the missing value.
"""

import json
import logging
import math
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from typing import Any

from amazon_transcribe.eventstream import EventStreamBuffer
from amazon_transcribe.model import Alternative, Entity, Item
from amazon_transcribe.model import Result as SdkResult

from streaming.engines.aws.http2 import StreamInterrupted

logger = logging.getLogger(__name__)

LONGEST_CODE = 100  # characters; an error code is cut to this length
LONGEST_MESSAGE = 500  # characters; the service's own error message is cut to this length


class MalformedAnswer(Exception):
    """The service sent bytes that violate its protocol. Another stream may succeed."""


class ServiceError(Exception):
    """An error that the service reported. `status` is the HTTP status, or 0 if the error came within an answer."""

    def __init__(self, code: str, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


class UnexpectedContent:
    """Logs each kind of unexpected content once per stream. It never logs the content, which may be spoken words."""

    def __init__(self) -> None:
        self._logged: set[str] = set()

    def log_once(self, what: str) -> None:
        if what not in self._logged:
            self._logged.add(what)
            logger.info("Amazon Transcribe sent %s. The engine logs this once per stream.", what)


async def read_results(chunks: AsyncIterable[bytes]) -> AsyncIterator[list[SdkResult]]:
    """Yield the results of each event of an answer.

    Raises `ServiceError` for an error that the service reports, `StreamInterrupted` if the answer ends within a
    message, and for damaged bytes any exception of the SDK's parser (`transport.py` catches those).
    """
    buffer, unexpected = EventStreamBuffer(), UnexpectedContent()
    async for chunk in chunks:
        buffer.add_data(chunk)
        for message in buffer:
            if results := results_of(message.headers, message.payload, unexpected):
                yield results
            else:
                yield []  # no words, but the caller learns that the service still answers
    if buffer._data:  # private, but the SDK has no public way to find out whether bytes are left
        raise StreamInterrupted("the answer ended in the middle of a message")


def results_of(headers: Mapping[str, Any], payload: bytes, unexpected: UnexpectedContent) -> list[SdkResult]:
    kind, event = headers.get(":message-type"), headers.get(":event-type")
    if kind in ("error", "exception") or ":exception-type" in headers or ":error-code" in headers:
        raise _error_in_answer(headers, payload)
    if event not in (None, "TranscriptEvent"):
        if event != "initial-response":  # AWS's protocol allows this event in any event stream
            unexpected.log_once(f"an event of the type {str(event)[:40]!r}")
        return []
    document = _object(payload)
    if document is None:
        if event is None:
            unexpected.log_once("a message without a type")
            return []
        # The words of this message are lost, so the engine must open another stream for them.
        raise MalformedAnswer("a transcript that is not JSON")
    transcript = document.get("Transcript")
    results = transcript.get("Results") if isinstance(transcript, dict) else None
    if not isinstance(results, list):
        return []
    if not all(isinstance(result, dict) for result in results):
        unexpected.log_once("a result that is not an object")
    return [_result(result) for result in results if isinstance(result, dict)]


def _result(raw: Mapping[str, Any]) -> SdkResult:
    given = raw.get("Alternatives")
    alternatives = None
    if isinstance(given, list):
        alternatives = [found for one in given if isinstance(one, dict) and (found := _alternative(one))]
    # None means that no alternative could be parsed. An empty list is valid: a vocabulary filter may remove all words.
    if given and not alternatives:
        alternatives = None
    return SdkResult(
        result_id=_text(raw.get("ResultId")),
        start_time=_seconds(raw.get("StartTime")),
        end_time=_seconds(raw.get("EndTime")),
        is_partial=raw.get("IsPartial") in (True, "true"),
        alternatives=alternatives,
        channel_id=_text(raw.get("ChannelId")),
        language_code=_text(raw.get("LanguageCode")),
    )


def _alternative(raw: Mapping[str, Any]) -> Alternative | None:
    text, items, entities = raw.get("Transcript"), raw.get("Items"), raw.get("Entities")
    if not isinstance(text, str) and not isinstance(items, list):
        return None
    return Alternative(
        text if isinstance(text, str) else "",
        [_item(one) for one in items if isinstance(one, dict)] if isinstance(items, list) else [],
        [_entity(one) for one in entities if isinstance(one, dict)] if isinstance(entities, list) else [],
    )


def _item(raw: Mapping[str, Any]) -> Item:
    content, kind = _text(raw.get("Content")), raw.get("Type")
    is_mark = kind == "punctuation" if isinstance(kind, str) else not any(letter.isalnum() for letter in content)
    confidence = _seconds(raw.get("Confidence"))
    return Item(
        start_time=_seconds(raw.get("StartTime")),
        end_time=_seconds(raw.get("EndTime")),
        item_type="punctuation" if is_mark else "pronunciation",
        content=content,
        vocabulary_filter_match=raw.get("VocabularyFilterMatch") is True,
        speaker=_text(raw.get("Speaker")),
        confidence=confidence if confidence is not None and confidence <= 1 else None,
        stable=raw.get("Stable") is True,
    )


def _entity(raw: Mapping[str, Any]) -> Entity:
    return Entity(
        _seconds(raw.get("StartTime")),
        _seconds(raw.get("EndTime")),
        _text(raw.get("Category")),
        _text(raw.get("Content")),
        None,
        _text(raw.get("Type")) or "PII",
    )


def _text(value: object) -> str:
    """Return a string unchanged, an integer (a speaker or a channel) as a string, and "" for anything else."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _seconds(value: object) -> float | None:
    """Return a number or a numeric string as a finite float of at least 0, and None for anything else.

    Python's JSON parser also accepts NaN and Infinity, which become None.
    """
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):  # not a number, or an integer that does not fit a float
        return None
    return max(0.0, number) if math.isfinite(number) else None


def _object(payload: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):  # RecursionError: deeply nested lists
        return None
    return document if isinstance(document, dict) else None


def _error_in_answer(headers: Mapping[str, Any], payload: bytes) -> ServiceError:
    document = _object(payload) or {}
    codes = (headers.get(":exception-type"), headers.get(":error-code"), document.get("__type"), document.get("code"))
    own = headers.get(":error-message")
    return ServiceError(_code(*codes), _message(document) or (own if isinstance(own, str) else "")[:LONGEST_MESSAGE])


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> ServiceError:
    """Return the error of a response whose status is not 200.

    The error code is in the header `x-amzn-errortype` or in the body: Smithy's restJson1 protocol allows both.
    """
    document = _object(body) or {}
    return ServiceError(
        _code(headers.get("x-amzn-errortype"), document.get("code"), document.get("__type")), _message(document), status
    )


def _code(*candidates: object) -> str:
    """Return the first error code among `candidates`, or "".

    A candidate has the form `com.amazonaws.transcribe#Code:http://…`, of which only `Code` is required.
    """
    for text in candidates:
        if isinstance(text, str) and (code := text.partition(":")[0].rpartition("#")[2].strip()):
            return code[:LONGEST_CODE]
    return ""


def _message(document: Mapping[str, Any]) -> str:
    found = (document.get(name) for name in ("Message", "message", "errorMessage"))
    return next((text[:LONGEST_MESSAGE] for text in found if isinstance(text, str) and text), "")
