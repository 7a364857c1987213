"""Durations, moments, sizes and file formats as text, for pages and the admin.

`static/js/formats.js` has the same functions for the scripts. The tests of both compare them with one table,
`tests/format_examples.py`.
"""

import math
from datetime import UTC, datetime, timedelta, tzinfo

from django import template
from django.utils import timezone

register = template.Library()

MINUTE_SECONDS = 60
SIZE_UNITS = ("bytes", "KB", "MB", "GB", "TB")

# The containers and codecs whose name is not simply FFmpeg's name in capitals.
FORMAT_NAMES = {
    "matroska": "Matroska",
    "webm": "WebM",
    "opus": "Opus",
    "vorbis": "Vorbis",
    "amr_nb": "AMR",
    "amr_wb": "AMR wideband",
    "pcm_mulaw": "µ-law",
    "pcm_alaw": "A-law",
}
PCM_PREFIXES = (("pcm_s", "bit PCM"), ("pcm_u", "bit unsigned PCM"), ("pcm_f", "bit float PCM"))


@register.filter
def clock(seconds: float | None) -> str:
    """Return a duration or a position for lists and players: 0:07, 44:10 or 10:02:03; empty for None."""
    if seconds is None:
        return ""
    minutes, rest = divmod(max(0, int(seconds)), MINUTE_SECONDS)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@register.filter
def in_words(seconds: float) -> str:
    """Return a measured duration for a sentence: 0.4 s, 44 s, 3 min 20 s, 44 min or 1 h 20 min."""
    if seconds < 10:
        return f"{_rounded(max(0, seconds), 1):g} s"
    whole = int(_rounded(seconds))
    if whole < MINUTE_SECONDS:
        return f"{whole} s"
    if whole < 10 * MINUTE_SECONDS:
        return _joined(whole // MINUTE_SECONDS, "min", whole % MINUTE_SECONDS, "s")
    return _hours_and_minutes(int(_rounded(whole / MINUTE_SECONDS)))


@register.filter
def estimate(seconds: float) -> str:
    """Return a predicted duration, rounded to its likely precision: a few seconds, about 12 min, about 1 h 20 min."""
    if seconds < 7.5:
        return "a few seconds"
    if seconds < 55:
        return f"about {5 * int(_rounded(seconds / 5))} s"
    minutes = max(1, int(_rounded(seconds / MINUTE_SECONDS)))
    if minutes >= 60:
        minutes = 5 * int(_rounded(minutes / 5))
    return f"about {_hours_and_minutes(minutes)}"


@register.filter
def size(number: int) -> str:
    """Return a number of bytes in steps of 1,024, as file managers show it: 512 bytes, 1.5 KB, 100 MB."""
    value, unit = float(number), 0
    while unit < len(SIZE_UNITS) - 1 and _rounded(value) >= 1024:
        value, unit = value / 1024, unit + 1
    if unit == 0:
        return "1 byte" if number == 1 else f"{number} bytes"
    return f"{_rounded(value, 1 if value < 10 else 0):g} {SIZE_UNITS[unit]}"


@register.filter
def moment(at: datetime | None) -> str:
    """Return a point in time in the site's zone, with the zone's name; empty for None.

    Scripts replace it on pages by the same moment in the reader's zone.
    """
    if at is None:
        return ""
    local = timezone.localtime(at)
    return f"{moment_in(local.tzinfo or UTC, at, timezone.now())} {local.tzname()}"


def moment_in(zone: tzinfo, at: datetime, now: datetime) -> str:
    """Return `at` as seen at `now` in `zone`: today 09:25, yesterday 18:02, 14 Nov 10:10 or 14 Nov 2025 10:10."""
    local, today = at.astimezone(zone), now.astimezone(zone).date()
    time = f"{local:%H:%M}"
    if local.date() == today:
        return f"today {time}"
    if local.date() == today - timedelta(days=1):
        return f"yesterday {time}"
    return (
        f"{local.day} {local:%b} {time}" if local.year == today.year else f"{local.day} {local:%b} {local.year} {time}"
    )


@register.filter
def file_format(container: str, codec: str) -> str:
    """Return the names of a container and its codec as people know them: WAV (16-bit PCM), MP3, MP4 (AAC)."""
    outer, inner = _format_name(container), _format_name(codec)
    return outer if inner == outer else f"{outer} ({inner})"


@register.filter
def kilohertz(rate: int) -> str:
    """Return a sample rate, given in Hz: 48 kHz, 44.1 kHz."""
    return f"{rate / 1000:g} kHz"


def _format_name(name: str) -> str:
    for prefix, kind in PCM_PREFIXES:
        bits = name.removeprefix(prefix).removesuffix("le").removesuffix("be")
        if name.startswith(prefix) and bits.isdecimal():
            return f"{bits}-{kind}"
    return FORMAT_NAMES.get(name, name.upper())


def _hours_and_minutes(minutes: int) -> str:
    return f"{minutes} min" if minutes < 60 else _joined(minutes // 60, "h", minutes % 60, "min")


def _joined(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large} {large_unit} {small} {small_unit}" if small else f"{large} {large_unit}"


def _rounded(value: float, digits: int = 0) -> float:
    """Round half up, as JavaScript's Math.round does; Python's own `round` takes halves to the even number."""
    scale = 10**digits
    return math.floor(value * scale + 0.5) / scale
