"""Lengths and places in a recording as people say them, for pages that are read without JavaScript and the admin."""

from django import template

register = template.Library()


@register.filter
def clock(seconds: float | None) -> str:
    """Return 0:07, 44:10 or 10:02:03; nothing for None."""
    if seconds is None:
        return ""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
