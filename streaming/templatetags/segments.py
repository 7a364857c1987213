"""Template filters for a segment: its language where it changes, and marks for personal data and filtered words.

`static/js/segment.js` renders live segments in the same way.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from django import template
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

from streaming.engines.registry import declared_options
from streaming.models import Job, Segment

register = template.Library()

PUNCTUATION = ".,!?;:…。、\uff01\uff1f"
FILTERED = "In the vocabulary filter"
NAMES = {"PII": "Personal data", "PIN": "PIN", "SSN": "Social security number"}


def marks_words(job: Job) -> bool:
    """Return whether a job's options can mark words. Only then a page needs the large `words` column."""
    return any(option.marks_words and job.options.get(option.name) for option in declared_options(job.engine))


@register.filter
def with_language(segments: Iterable[Segment], job: Job) -> Iterator[tuple[Segment, str]]:
    """Yield each segment with its language if that changes there, starting from the job's; else with an empty text."""
    language = job.language_code
    for segment in segments:
        changes = segment.language_code and segment.language_code != language
        language = segment.language_code or language
        yield segment, language if changes else ""


@register.filter
def marked(segment: Segment) -> SafeString | str:
    """Return the text as HTML with <mark> around personal data and filtered words; unmarked if `words` is deferred."""
    if "words" in segment.get_deferred_fields():
        return segment.text
    html, at = "", 0
    for begin, end, reason in marks(segment.text, segment.words):
        kind, text = ("filtered" if reason == FILTERED else "pii"), segment.text[begin:end]
        html += escape(segment.text[at:begin]) + format_html(
            '<mark class="{}" title="{}">{}</mark>', kind, reason, text
        )
        at = end
    return mark_safe(html + escape(segment.text[at:]))  # each part was escaped above


def marks(text: str, words: Iterable[dict[str, Any]]) -> list[tuple[int, int, str]]:
    """Return the marked ranges of a text, neighbours of one kind merged: (begin, end, reason)."""
    found, at = [], 0
    for word in words:
        begin = text.find(word["text"], at)
        if begin < 0:
            continue  # the text does not contain this word
        at = begin + len(word["text"])
        found.append((begin, begin + len(word["text"].rstrip(PUNCTUATION)), mark_reason(word)))
    runs = [(reason, [*run]) for reason, run in groupby(found, key=lambda place: place[2])]
    return [(run[0][0], run[-1][1], reason) for reason, run in runs if reason]


def mark_reason(word: dict[str, Any]) -> str:
    """Return the title of a word's mark; empty for a word without a mark."""
    kind = word.get("pii") or ""
    if kind:
        return NAMES.get(kind, kind.replace("_", " ").capitalize())
    return FILTERED if word.get("vocabulary_filter_match") else ""
