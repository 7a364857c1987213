"""The forms: what a job is started with, and what the history is narrowed to."""

import uuid
from typing import Any

from django import forms
from django.conf import settings

from streaming.engines import engine_classes
from streaming.models import Status


def engine_choices() -> list[tuple[str, str]]:
    return [(engine.name, engine.label) for engine in engine_classes()]


def language_choices() -> list[tuple[str, str]]:
    """Return the languages of all engines; that a chosen engine knows the language is checked when a job starts."""
    known: dict[str, str] = {}
    for engine in engine_classes():
        known.update(engine.languages)
    return [*known.items()]


class StartForm(forms.Form):
    """What a job is started with. Both may be left out: then the default engine in its first language is meant."""

    engine = forms.ChoiceField(choices=engine_choices, required=False)
    language_code = forms.CharField(label="Language", max_length=32, required=False)
    # Sent twice (a double click, two tabs), it is the same job.
    request_id = forms.CharField(max_length=100, required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        initial = {"engine": settings.TRANSCRIBE_DEFAULT_ENGINE, "request_id": uuid.uuid4().hex}
        kwargs["initial"] = {**initial, **kwargs.get("initial", {})}
        super().__init__(*args, **kwargs)
        self.fields["language_code"].widget = forms.Select(choices=language_choices())


class HistoryForm(forms.Form):
    """The history's filter; what is not known narrows nothing."""

    status = forms.ChoiceField(label="State", choices=[("", "All states"), *Status.choices], required=False)
    engine = forms.ChoiceField(choices=lambda: [("", "All engines"), *engine_choices()], required=False)
