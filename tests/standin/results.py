"""Converts segments into the JSON of a TranscriptEvent, with the fields that the request's options select."""

import json
from dataclasses import dataclass
from typing import Any

from tests.standin.recognition import Segment, Spoken
from tests.standin.requests import Request

NOTHING = b'{"Transcript":{"Results":[]}}'
MASK, REDACTED = "***", "[PII]"


def is_filtered(word: Spoken) -> bool:
    """Return whether the vocabulary filter contains a word. It contains every eleventh number."""
    return word.number is not None and word.number % 11 == 0


def is_name(word: Spoken) -> bool:
    """Return whether a word is personal data. Every seventh number is a name."""
    return word.number is not None and word.number % 7 == 0


@dataclass(frozen=True)
class Habits:
    """Variations of results that occur in only some published samples of the service."""

    names_channel: bool = False  # results of a mono stream have a ChannelId
    punctuates_partials: bool = False  # partials also end with a full stop
    end_padding: float = 0.0  # seconds from the last word's end to the result's


USUAL = Habits()


class Writer:
    """Writes the results of one stream. It numbers the stream's speakers in the order in which they speak."""

    def __init__(self, request: Request, habits: Habits = USUAL) -> None:
        self._request = request
        self._habits = habits
        self._speakers: dict[int, str] = {}
        has_filter = bool(request.vocabulary_filter_name or request.vocabulary_filter_names)
        self._filter_method = (request.vocabulary_filter_method or "mask") if has_filter else ""
        types = request.pii_entity_types
        self._finds_names = not types or "NAME" in types or "ALL" in types

    def event(self, segment: Segment) -> bytes | None:
        """Return the event's payload, or None if no words are left."""
        request = self._request
        words = segment.words
        if self._filter_method == "remove":
            words = tuple(word for word in words if not is_filtered(word))
        if not words:
            return None
        # Only finals have confidence, speakers and personal data.
        items = [self._item(word, is_partial=segment.is_partial) for word in words]
        contents = " ".join(item["Content"] for item in items)
        is_punctuated = not segment.is_partial or self._habits.punctuates_partials
        if is_punctuated and words[-1].number is not None:
            end = words[-1].end
            items.append(
                {
                    "Content": ".",
                    "StartTime": end,
                    "EndTime": end,
                    "Type": "punctuation",
                    "VocabularyFilterMatch": False,
                }
            )
            contents += "."
        if request.enable_partial_results_stabilization:
            for item in items:
                item["Stable"] = True
            if segment.is_partial:
                items[-1]["Stable"] = False
        alternative: dict[str, Any] = {"Transcript": contents, "Items": items}
        if not segment.is_partial and request.content_identification_type and self._finds_names:
            alternative["Entities"] = [self._entity(word) for word in words if is_name(word)]
        result: dict[str, Any] = {
            "ResultId": segment.segment_id,
            "StartTime": segment.words[0].start,
            "EndTime": round(segment.words[-1].end + self._habits.end_padding, 3),
            "IsPartial": segment.is_partial,
            "Alternatives": [alternative],
        }
        if request.enable_channel_identification or self._habits.names_channel:
            result["ChannelId"] = f"ch_{segment.channel}"
        if request.is_identified:
            result["LanguageCode"] = segment.language or request.language_options[0]
            # Every option has a score; the scores add up to one.
            rest = round(0.1 / (len(request.language_options) - 1), 4)
            result["LanguageIdentification"] = [
                {"LanguageCode": code, "Score": 0.9 if code == result["LanguageCode"] else rest}
                for code in sorted(request.language_options, key=lambda code: code != result["LanguageCode"])
            ]
        return json.dumps({"Transcript": {"Results": [result]}}, separators=(",", ":")).encode()

    def _item(self, word: Spoken, *, is_partial: bool) -> dict[str, Any]:
        item = {
            "Content": word.text,
            "StartTime": word.start,
            "EndTime": word.end,
            "Type": "pronunciation",
            "VocabularyFilterMatch": self._filter_method == "tag" and is_filtered(word),
        }
        if self._filter_method == "mask" and is_filtered(word):
            item["Content"] = MASK
        if is_partial:
            return item
        item["Confidence"] = self._confidence(word)
        if self._request.content_redaction_type and self._finds_names and is_name(word):
            item["Content"] = REDACTED
        if self._request.show_speaker_label:
            voice = (word.number or 0) // 5 % 2
            item["Speaker"] = self._speakers.setdefault(voice, str(len(self._speakers)))
        return item

    @staticmethod
    def _confidence(word: Spoken) -> float:
        return 0.9 + (word.number or 0) % 10 / 100

    def _entity(self, word: Spoken) -> dict[str, Any]:
        return {
            "StartTime": word.start,
            "EndTime": word.end,
            "Category": "PII",
            "Type": "NAME",
            "Content": word.text,
            "Confidence": self._confidence(word),
        }
