"""What people call an engine, what a job was asked for, and what one will take, for the pages."""

from django import template

from streaming.engines import options
from streaming.engines.base import EngineError
from streaming.engines.registry import declared_options, engine_class
from streaming.models import Job
from uploads import tracks

register = template.Library()


@register.filter
def engine_label(name: str) -> str:
    """Return an engine's label; the bare name of one that this site no longer has."""
    try:
        return engine_class(name).label
    except EngineError:
        return name


@register.filter
def options_in_words(job: Job) -> str:
    """Return what the options of a job do, as in “Speakers told apart, personal data marked”."""
    told = options.in_words(declared_options(job.engine), job.options)
    return ", ".join([*told[:1], *(words[:1].lower() + words[1:] for words in told[1:])])


@register.filter
def track_name(job: Job) -> str:
    """Return which audio track a job transcribes; empty where the recording has only one. Reads the job's upload."""
    return tracks.name(job.upload.tracks, job.track) if job.track else ""


@register.filter
def about(seconds: float) -> str:
    """Return a length that is only foreseen: 45 s, 12 min, 1 h 20 min."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(5 * round(minutes / 5), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


@register.filter
def dollars(price: float) -> str:
    """Return a price that is only foreseen: about $0.29."""
    return "less than $0.01" if price < 0.01 else f"about ${price:,.2f}"
