"""The forms: what a job is started with, and what the history is narrowed to."""

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
    """Return the engines that can be chosen: those that are set up, and the default one."""
    default = settings.TRANSCRIBE_DEFAULT_ENGINE
    return [engine for engine in engine_classes() if engine.name == default or not engine.missing()]


class Tick(forms.CheckboxInput):
    """A box to tick, or what a program writes for one."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> bool:
        return str(data.get(name, "")).lower() not in options.NO


class Words(forms.TextInput):
    """Texts with commas between them, or sent one by one."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> str:
        return ", ".join(sent(data, name))


class Ticks(forms.CheckboxSelectMultiple):
    """Boxes to tick; a program may send them with commas too."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[str]:
        return sent(data, name)


def sent(data: Any, name: str) -> list[str]:
    """Return what was sent under a name, once or several times, with or without commas."""
    getlist = getattr(data, "getlist", None)  # a dictionary has none
    return options.parts(getlist(name) if getlist else [str(data.get(name) or "")])


class NamesField(forms.CharField):
    widget = Words

    def to_python(self, value: Any) -> Any:
        return options.parts([super().to_python(value) or ""])

    def run_validators(self, value: Any) -> None:
        for part in value:
            super().run_validators(part)


class OnlyChoiceField(forms.BooleanField):
    """A choice of one: ticked, it is that choice."""

    widget = Tick

    def __init__(self, *, choice: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.choice = choice

    def clean(self, value: Any) -> Any:
        return self.choice if super().clean(value) else ""


def identifying(engine: type[Engine]) -> list[str]:
    """Return the options of an engine that ask it to find out the language."""
    flags = [option.name for option in engine.options if option.kind == "flag"]
    return [name for name in flags if not engine.default_language({name: True})]


def option_field(option: Option, engine: type[Engine]) -> forms.Field:
    """Return the field for an option of an engine."""
    common: dict[str, Any] = {"label": option.label, "help_text": option.help, "required": False}
    choices = [*option.choices.items()]
    field: forms.Field
    if option.kind == "flag":
        # The page asks for no language where the engine is to find it out.
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
    """The options of one engine. The fields have the names of the options."""

    def __init__(self, engine: type[Engine], data: Any = None) -> None:
        super().__init__(data, auto_id=f"id_{engine.name}_%s")
        self.engine = engine
        for option in engine.options:
            self.fields[option.name] = option_field(option, engine)


class StartForm(forms.Form):
    """What a job is started with. All may be left out: then the default engine in its first language is meant.

    Each engine that has options has a form for them; those of the engine that was not chosen are not looked at.
    """

    engine = forms.ChoiceField(choices=engine_choices, required=False)
    language_code = forms.CharField(label="Language", max_length=32, required=False)
    track = forms.CharField(label="Audio track", max_length=8, required=False, widget=forms.HiddenInput)
    # Sent twice (a double click, two tabs), it is the same job.
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
        # One that isn't set up is taken too: when the job starts, it is said what is missing.
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
        """The options of a form that is valid, as a job takes them."""
        form = self.chosen_options
        if form is None:
            return {}
        given = {name: value for name, value in form.cleaned_data.items() if value}
        # “Found out by the engine” in the list of languages is the same as its box below.
        flags = identifying(form.engine)
        if self.data.get("language_code") == "" and flags and not given.keys() & set(flags):
            given[flags[0]] = True
        return given

    def refuse(self, reason: str) -> None:
        """Show why the job can't start where it was asked for: at the options, if some were set."""
        form = self.chosen_options
        (form if form and self.given_options else self).add_error(None, reason)

    def reasons(self) -> list[str]:
        """Return what is wrong, in sentences."""
        wrong = [str(error) for errors in self.errors.values() for error in errors]
        if form := self.chosen_options:
            for name, errors in form.errors.items():
                label = f"{form.fields[name].label}: " if name in form.fields else ""
                wrong += [f"{label}{error}" for error in errors]
        return wrong


def language_choices(engines: Iterable[type[Engine]]) -> list[Any]:
    """Return the languages of these engines, in a group for each where there are several."""
    groups = []
    for engine in engines:
        found_out = [("", f"Found out by {engine.label}")] if identifying(engine) else []
        groups.append((engine.label, [*engine.languages.items(), *found_out]))
    return groups[0][1] if len(groups) == 1 else groups


class HistoryForm(forms.Form):
    """The history's filter; what is not known narrows nothing."""

    status = forms.ChoiceField(label="State", choices=[("", "All states"), *Status.choices], required=False)
    engine = forms.ChoiceField(choices=lambda: [("", "All engines"), *engine_choices()], required=False)
