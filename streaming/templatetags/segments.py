"""What is shown of a segment beside its text: who spoke, the language where it changes, and marked words.

`static/js/segment.js` does the same with what comes live.
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
    """Tell whether there may be words to mark: whoever shows the job has to load them only then."""
    return any(option.marks_words and job.options.get(option.name) for option in declared_options(job.engine))


@register.filter
def with_language(segments: Iterable[Segment], job: Job) -> Iterator[tuple[Segment, str]]:
    """Yield each segment with its language where that is another than before, else with nothing."""
    language = job.language_code
    for segment in segments:
        changes = segment.language_code and segment.language_code != language
        language = segment.language_code or language
        yield segment, language if changes else ""


@register.filter
def marked(segment: Segment) -> SafeString | str:
    """Return the text, with marks around personal data and filtered words. Needs no query where there are none."""
    if "words" in segment.get_deferred_fields():
        return segment.text
    html, at = "", 0
    for begin, end, reason in marks(segment.text, segment.words):
        kind, text = ("filtered" if reason == FILTERED else "pii"), segment.text[begin:end]
        html += escape(segment.text[at:begin]) + format_html(
            '<mark class="{}" title="{}">{}</mark>', kind, reason, text
        )
        at = end
    return mark_safe(html + escape(segment.text[at:]))  # all of it is escaped above


def marks(text: str, words: Iterable[dict[str, Any]]) -> list[tuple[int, int, str]]:
    """Return where marked words stand in a text, neighbours of one kind as one: (begin, end, reason)."""
    found, at = [], 0
    for word in words:
        begin = text.find(word["text"], at)
        if begin < 0:
            continue  # the words say it otherwise than the text
        at = begin + len(word["text"])
        found.append((begin, begin + len(word["text"].rstrip(PUNCTUATION)), why_marked(word)))
    runs = [(why, [*run]) for why, run in groupby(found, key=lambda place: place[2])]
    return [(run[0][0], run[-1][1], why) for why, run in runs if why]


def why_marked(word: dict[str, Any]) -> str:
    """Return why a word is marked, in words; empty: it isn't."""
    kind = word.get("pii") or ""
    if kind:
        return NAMES.get(kind, kind.replace("_", " ").capitalize())
    return FILTERED if word.get("vocabulary_filter_match") else ""
