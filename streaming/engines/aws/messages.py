"""Reads an answer of Amazon Transcribe: messages of the event stream, results in JSON, and refusals.

`transport.py` calls it. A field that is missing or has an unexpected type never costs the words beside it: the
reader drops that field, and `results.py` derives what it needs.
"""

import json
import logging
import math
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from typing import Any

from amazon_transcribe.eventstream import EventStreamBuffer
from amazon_transcribe.model import Alternative, Entity, Item
from amazon_transcribe.model import Result as HeardResult

from streaming.engines.aws.http2 import CutOff

logger = logging.getLogger(__name__)

LONGEST_CODE = 100  # characters of an error code; longer text is no code
LONGEST_MESSAGE = 500  # characters of the service's own sentence


class Unreadable(Exception):
    """The service sent bytes that are not of its protocol. Another stream may do better."""


class ServiceError(Exception):
    """A refusal or a failure that the service reports: `status` is 0 where it came within an answer."""

    def __init__(self, code: str, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


class Oddities:
    """Logs each kind of unexpected content once a stream, without the content, which may be spoken words."""

    def __init__(self) -> None:
        self._noted: set[str] = set()

    def note(self, what: str) -> None:
        if what not in self._noted:
            self._noted.add(what)
            logger.info("Amazon Transcribe sent %s. The engine ignores this for the rest of the stream.", what)


async def read_results(chunks: AsyncIterable[bytes]) -> AsyncIterator[list[HeardResult]]:
    """Yield the results of each event of an answer.

    Raises `ServiceError`, `CutOff` where the answer ends within a message, and what the SDK's parser raises for
    damaged bytes.
    """
    buffer, oddities = EventStreamBuffer(), Oddities()
    async for chunk in chunks:
        buffer.add_data(chunk)
        for message in buffer:
            if results := results_of(message.headers, message.payload, oddities):
                yield results
            else:
                yield []  # the service is alive, although it has no words
    if buffer._data:  # the SDK's buffer has no other way to ask
        raise CutOff("the answer ended in the middle of a message")


def results_of(headers: Mapping[str, Any], payload: bytes, oddities: Oddities) -> list[HeardResult]:
    kind, event = headers.get(":message-type"), headers.get(":event-type")
    if kind in ("error", "exception") or ":exception-type" in headers or ":error-code" in headers:
        raise _error_in_answer(headers, payload)
    if event not in (None, "TranscriptEvent"):
        if event != "initial-response":  # AWS's protocol allows this one in any event stream
            oddities.note(f"an event of the type {str(event)[:40]!r}")
        return []
    said = _object(payload)
    if said is None:
        if event is None:
            oddities.note("a message without a type")
            return []
        raise Unreadable("a transcript that is not JSON")  # its words are lost, so another stream has to fetch them
    transcript = said.get("Transcript")
    results = transcript.get("Results") if isinstance(transcript, dict) else None
    if not isinstance(results, list):
        return []
    if not all(isinstance(result, dict) for result in results):
        oddities.note("a result that is not an object")
    return [_result(result) for result in results if isinstance(result, dict)]


def _result(raw: Mapping[str, Any]) -> HeardResult:
    given = raw.get("Alternatives")
    alternatives = None
    if isinstance(given, list):
        alternatives = [found for one in given if isinstance(one, dict) and (found := _alternative(one))]
    if given and not alternatives:
        alternatives = None  # unreadable, which differs from empty: a vocabulary filter may have removed all words
    return HeardResult(
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
    """Return a text as it is, and a number (a speaker, a channel) as text."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _seconds(value: object) -> float | None:
    """Return a number of at least 0, also where it came as text. JSON as Python reads it knows NaN and Infinity."""
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):  # no number, or an integer that no float can hold
        return None
    return max(0.0, number) if math.isfinite(number) else None


def _object(payload: bytes) -> dict[str, Any] | None:
    try:
        said = json.loads(payload)
    except (ValueError, RecursionError):  # the latter for a payload of many nested lists
        return None
    return said if isinstance(said, dict) else None


def _error_in_answer(headers: Mapping[str, Any], payload: bytes) -> ServiceError:
    said = _object(payload) or {}
    codes = (headers.get(":exception-type"), headers.get(":error-code"), said.get("__type"), said.get("code"))
    own = headers.get(":error-message")
    return ServiceError(_code(*codes), _message(said) or (own if isinstance(own, str) else "")[:LONGEST_MESSAGE])


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> ServiceError:
    """Return the error in an answer whose status is not 200.

    The code is in `x-amzn-errortype`, or else in the body: Smithy's restJson1 protocol allows both.
    """
    said = _object(body) or {}
    return ServiceError(
        _code(headers.get("x-amzn-errortype"), said.get("code"), said.get("__type")), _message(said), status
    )


def _code(*candidates: object) -> str:
    """Return the first code without its namespace and address, as in `com.amazonaws.transcribe#Code:http://…`."""
    for text in candidates:
        if isinstance(text, str) and (code := text.partition(":")[0].rpartition("#")[2].strip()):
            return code[:LONGEST_CODE]
    return ""


def _message(said: Mapping[str, Any]) -> str:
    found = (said.get(name) for name in ("Message", "message", "errorMessage"))
    return next((text[:LONGEST_MESSAGE] for text in found if isinstance(text, str) and text), "")
