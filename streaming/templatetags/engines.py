"""What people call an engine, for the pages."""

from django import template

from streaming.engines import engine_class
from streaming.engines.base import EngineError

register = template.Library()


@register.filter
def engine_label(name: str) -> str:
    """Return an engine's label; the bare name of one that this site no longer has."""
    try:
        return engine_class(name).label
    except EngineError:
        return name
