"""Template filters for a job's engine, options and audio track, and for an estimated price."""

from django import template

from streaming.engines import options
from streaming.engines.base import EngineError
from streaming.engines.registry import declared_options, engine_class
from streaming.models import Job
from uploads import tracks

register = template.Library()


@register.filter
def engine_label(name: str) -> str:
    """Return an engine's label, or its name if the site no longer has the engine."""
    try:
        return engine_class(name).label
    except EngineError:
        return name


@register.filter
def options_in_words(job: Job) -> str:
    """Return a job's options as one line: “Identify speakers, highlight personal data”."""
    described = options.descriptions(declared_options(job.engine), job.options)
    return ", ".join([*described[:1], *(words[:1].lower() + words[1:] for words in described[1:])])


@register.filter
def track_name(job: Job) -> str:
    """Return the name of a job's audio track; empty if the recording has only one."""
    return tracks.name(job.upload.tracks, job.track) if job.track else ""


@register.filter
def dollars(price: float) -> str:
    """Return an estimated price: about $0.29."""
    return "less than $0.01" if price < 0.01 else f"about ${price:,.2f}"
