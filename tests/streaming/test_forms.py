"""What a job may be started with, and what the history is narrowed to."""

import pytest
from pytest_django.fixtures import Settings

from streaming.engines.local import LocalEngine
from streaming.forms import HistoryForm, StartForm

LANGUAGES = [
    ("en-US", "English, US"),
    ("en-GB", "English, British"),
    ("en-AU", "English, Australian"),
    ("de-DE", "German"),
]


def test_offers_the_engines_of_the_site_and_the_languages_of_all_of_them() -> None:
    form = StartForm()
    assert list(form.fields["engine"].choices) == [("local", LocalEngine.label), ("scripted", "Scripted")]
    assert form.fields["language_code"].widget.choices == LANGUAGES


def test_proposes_the_default_engine_and_a_new_request_each_time(settings: Settings) -> None:
    settings.TRANSCRIBE_DEFAULT_ENGINE = "local"
    first, second = StartForm(), StartForm()
    assert first["engine"].value() == "local"
    assert len(first["request_id"].value()) == 32
    assert first["request_id"].value() != second["request_id"].value()


def test_keeps_what_is_proposed_from_outside() -> None:
    form = StartForm(initial={"engine": "scripted", "request_id": "mine"})
    assert (form["engine"].value(), form["request_id"].value()) == ("scripted", "mine")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"engine": "", "language_code": "", "request_id": ""},
        {"engine": "local", "language_code": "en-GB", "request_id": "r" * 100},
        # Whether the engine knows it is said when the job starts.
        {"engine": "scripted", "language_code": "tlh"},
    ],
)
def test_takes_a_start_with_or_without_its_fields(given: dict[str, str]) -> None:
    form = StartForm(given)
    assert form.is_valid()
    assert form.cleaned_data == {"engine": "", "language_code": "", "request_id": ""} | given


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"engine": "abacus"}, "engine"),
        ({"engine": "local\x00"}, "engine"),
        ({"language_code": "x" * 33}, "language_code"),
        ({"language_code": "en\x00"}, "language_code"),
        ({"request_id": "r" * 101}, "request_id"),
        ({"request_id": "r\x00"}, "request_id"),
    ],
)
def test_refuses_a_start_with_what_can_not_be(given: dict[str, str], field: str) -> None:
    form = StartForm(given)
    assert not form.is_valid()
    assert list(form.errors) == [field]


def test_an_engine_that_the_site_has_not_is_not_offered(settings: Settings) -> None:
    settings.TRANSCRIBE_ENGINES = ["local"]
    assert not StartForm({"engine": "scripted"}).is_valid()
    assert list(HistoryForm().fields["engine"].choices) == [("", "All engines"), ("local", LocalEngine.label)]


def test_offers_all_states_and_engines_in_the_history() -> None:
    form = HistoryForm()
    assert form.fields["status"].choices == [
        ("", "All states"),
        ("queued", "Queued"),
        ("running", "Running"),
        ("completed", "Completed"),
        ("failed", "Failed"),
        ("cancelled", "Cancelled"),
    ]
    assert list(form.fields["engine"].choices) == [
        ("", "All engines"),
        ("local", LocalEngine.label),
        ("scripted", "Scripted"),
    ]


@pytest.mark.parametrize(
    ("given", "narrowed"),
    [
        ({}, {"status": "", "engine": ""}),
        ({"status": "failed", "engine": "local"}, {"status": "failed", "engine": "local"}),
        ({"status": "lost", "engine": "local"}, {"engine": "local"}),
        ({"status": "failed\x00", "engine": "abacus"}, {}),
    ],
)
def test_what_is_not_known_narrows_nothing(given: dict[str, str], narrowed: dict[str, str]) -> None:
    form = HistoryForm(given)
    form.is_valid()
    assert form.cleaned_data == narrowed
