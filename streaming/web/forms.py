"""The form that starts a job, with a form for each engine's options, and the filter of the history.

Used by the pages and by JSON clients of the same addresses.
"""

import uuid
from collections.abc import Iterable
from typing import Any

from django import forms
from django.conf import settings

from streaming.engines import options
from streaming.engines.base import Engine, Option
from streaming.engines.registry import engine_classes
from streaming.models import Status
from uploads import tracks
from uploads.models import Upload


def engine_choices() -> list[tuple[str, str]]:
    return [(engine.name, engine.label) for engine in engine_classes()]


def offered_engines() -> list[type[Engine]]:
    """Return the engines that the form offers: the configured ones and the default one."""
    default = settings.TRANSCRIBE_DEFAULT_ENGINE
    return [engine for engine in engine_classes() if engine.name == default or not engine.missing()]


class Tick(forms.CheckboxInput):
    """A checkbox. Also accepts the values that clients send for a flag: true, on, yes, 1."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> bool:
        return str(data.get(name, "")).lower() not in options.NO


class Words(forms.TextInput):
    """A list of texts: separated by commas, or sent as repeated fields."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> str:
        return ", ".join(sent(data, name))


class Ticks(forms.CheckboxSelectMultiple):
    """A list of checkboxes. Also accepts values separated by commas."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[str]:
        return sent(data, name)


def sent(data: Any, name: str) -> list[str]:
    """Return the values of a field that may be repeated or contain commas. `data` is a QueryDict or a plain dict."""
    getlist = getattr(data, "getlist", None)  # missing in a plain dict
    return options.split_by_commas(getlist(name) if getlist else [str(data.get(name) or "")])


class NamesField(forms.CharField):
    widget = Words

    def to_python(self, value: Any) -> Any:
        return options.split_by_commas([super().to_python(value) or ""])

    def run_validators(self, value: Any) -> None:
        for part in value:
            super().run_validators(part)


class OnlyChoiceField(forms.BooleanField):
    """A checkbox for a choice with one value: the cleaned value is that choice, or empty."""

    widget = Tick

    def __init__(self, *, choice: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.choice = choice

    def clean(self, value: Any) -> Any:
        return self.choice if super().clean(value) else ""


def identifying(engine: type[Engine]) -> list[str]:
    """Return the names of an engine's flags that make it detect the language."""
    flags = [option.name for option in engine.options if option.kind == "flag"]
    return [name for name in flags if not engine.default_language({name: True})]


def option_field(option: Option, engine: type[Engine]) -> forms.Field:
    """Return the form field for an option. No field is required: the engine checks the combination."""
    common: dict[str, Any] = {"label": option.label, "help_text": option.help, "required": False}
    choices = [*option.choices.items()]
    field: forms.Field
    if option.kind == "flag":
        # start.js disables the language field while such a flag is set.
        attributes = {"data-identifies": ""} if option.name in identifying(engine) else {}
        field = forms.BooleanField(widget=Tick(attributes), **common)
    elif option.kind == "choice" and len(choices) == 1:
        field = OnlyChoiceField(choice=choices[0][0], **common)
    elif option.kind == "choice":
        field = forms.ChoiceField(choices=[("", "Not chosen"), *choices], **common)
    elif option.kind == "choices":
        field = forms.MultipleChoiceField(choices=choices, widget=Ticks, **common)
    elif option.kind == "names":
        field = NamesField(max_length=options.TEXT_CHARACTERS, **common)
    else:
        field = forms.CharField(max_length=options.TEXT_CHARACTERS, **common)
    return field


class OptionsForm(forms.Form):
    """The options of one engine, one field for each, under the option's name."""

    def __init__(self, engine: type[Engine], data: Any = None) -> None:
        super().__init__(data, auto_id=f"id_{engine.name}_%s")
        self.engine = engine
        for option in engine.options:
            self.fields[option.name] = option_field(option, engine)


class StartForm(forms.Form):
    """The parameters of a new job. All are optional: the default is the default engine in its first language.

    `option_forms` has a form for each engine with options. Only the chosen engine's form is bound and validated.
    """

    engine = forms.ChoiceField(choices=engine_choices, required=False)
    language_code = forms.CharField(label="Language", max_length=32, required=False)
    track = forms.CharField(label="Audio track", max_length=8, required=False, widget=forms.HiddenInput)
    # A repeated request (a double click) must not start a second job.
    request_id = forms.CharField(max_length=100, required=False, widget=forms.HiddenInput)

    def __init__(self, data: Any = None, *, upload: Upload | None = None, **kwargs: Any) -> None:
        self.tracks = upload.tracks if upload else []
        default = settings.TRANSCRIBE_DEFAULT_ENGINE
        offered = offered_engines()
        languages = [engine.default_language({}) for engine in offered if engine.name == default]
        initial = {"engine": default, "request_id": uuid.uuid4().hex, "language_code": "".join(languages)}
        kwargs["initial"] = {**initial, **kwargs.get("initial", {})}
        super().__init__(data, **kwargs)
        if upload and len(self.tracks) > 1:
            self.fields["track"].initial = str(upload.track)
            self.fields["track"].widget = forms.Select(choices=tracks.choices(self.tracks))
        # The field itself also accepts an engine that is not configured: starting the job reports the missing setting.
        self.fields["engine"].widget = forms.Select(choices=[(engine.name, engine.label) for engine in offered])
        self.fields["language_code"].widget = forms.Select(choices=language_choices(offered))
        chosen = (data or {}).get("engine") or default
        self.option_forms = [
            OptionsForm(engine, data if engine.name == chosen else None) for engine in offered if engine.options
        ]

    def clean_track(self) -> str:
        try:
            track = tracks.parse(self.cleaned_data["track"])
            tracks.check(self.tracks, track)
        except tracks.UnknownTrack as error:
            raise forms.ValidationError(str(error)) from error
        return track

    @property
    def chosen_options(self) -> OptionsForm | None:
        return next((form for form in self.option_forms if form.is_bound), None)

    def is_valid(self) -> bool:
        form = self.chosen_options
        return super().is_valid() and (form is None or form.is_valid())

    @property
    def given_options(self) -> dict[str, Any]:
        """The set options of a valid form, as a job stores them."""
        form = self.chosen_options
        if form is None:
            return {}
        given = {name: value for name, value in form.cleaned_data.items() if value}
        # Choosing “Detected by …” in the list of languages is the same as setting the engine's first detection flag.
        flags = identifying(form.engine)
        if self.data.get("language_code") == "" and flags and not given.keys() & set(flags):
            given[flags[0]] = True
        return given

    def refuse(self, reason: str) -> None:
        """Add an error for a job that could not start: to the options' form if an option was set, else to this form."""
        form = self.chosen_options
        (form if form and self.given_options else self).add_error(None, reason)

    def reasons(self) -> list[str]:
        """Return the errors of the form and of the chosen engine's options, as sentences."""
        wrong = [str(error) for errors in self.errors.values() for error in errors]
        if form := self.chosen_options:
            for name, errors in form.errors.items():
                label = f"{form.fields[name].label}: " if name in form.fields else ""
                wrong += [f"{label}{error}" for error in errors]
        return wrong


def language_choices(engines: Iterable[type[Engine]]) -> list[Any]:
    """Return the language choices of the engines: flat for one engine, else one group each."""
    groups = []
    for engine in engines:
        detected = [("", f"Detected by {engine.label}")] if identifying(engine) else []
        groups.append((engine.label, [*engine.languages.items(), *detected]))
    return groups[0][1] if len(groups) == 1 else groups


class HistoryForm(forms.Form):
    """The filter of the history. Its view ignores invalid values."""

    status = forms.ChoiceField(label="Status", choices=[("", "Any status"), *Status.choices], required=False)
    engine = forms.ChoiceField(choices=lambda: [("", "Any engine"), *engine_choices()], required=False)
