"""The forms that start a job and that filter the history: accepted and refused values."""

import pytest
from django.http import QueryDict
from pytest_django.fixtures import Settings

from streaming.engines.aws.engine import AwsEngine
from streaming.engines.moonshine.engine import LocalEngine
from streaming.web.forms import HistoryForm, StartForm

LANGUAGES = [
    (LocalEngine.label, [("en-US", "English, US"), ("en-GB", "English, British"), ("en-AU", "English, Australian")]),
    ("Scripted", [("en-US", "English, US"), ("de-DE", "German")]),
]


@pytest.fixture
def with_aws(settings: Settings) -> Settings:
    """Configure the site for Amazon Transcribe."""
    settings.TRANSCRIBE_ENGINES = ["local", "scripted", "aws"]
    settings.AWS_REGION = "eu-west-1"
    return settings


def test_offers_the_engines_of_the_site_and_the_languages_of_each() -> None:
    form = StartForm()
    assert list(form.fields["engine"].choices) == [("local", LocalEngine.label), ("scripted", "Scripted")]
    assert form.fields["language_code"].widget.choices == LANGUAGES


def test_the_start_form_proposes_the_default_engine_and_a_new_request_id(settings: Settings) -> None:
    settings.TRANSCRIBE_DEFAULT_ENGINE = "local"
    first, second = StartForm(), StartForm()
    assert first["engine"].value() == "local"
    assert len(first["request_id"].value()) == 32
    assert first["request_id"].value() != second["request_id"].value()


def test_the_start_form_keeps_initial_values_of_its_caller() -> None:
    form = StartForm(initial={"engine": "scripted", "request_id": "mine"})
    assert (form["engine"].value(), form["request_id"].value()) == ("scripted", "mine")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"engine": "", "language_code": "", "request_id": ""},
        {"engine": "local", "language_code": "en-GB", "request_id": "r" * 100},
        # The engine checks the language when the job starts.
        {"engine": "scripted", "language_code": "tlh"},
    ],
)
def test_accepts_a_start_with_or_without_fields(given: dict[str, str]) -> None:
    form = StartForm(given)
    assert form.is_valid()
    assert form.cleaned_data == {"engine": "", "language_code": "", "track": "", "request_id": ""} | given


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
def test_refuses_a_start_with_invalid_fields(given: dict[str, str], field: str) -> None:
    form = StartForm(given)
    assert not form.is_valid()
    assert list(form.errors) == [field]


def test_the_start_form_does_not_offer_an_engine_that_the_site_lacks(settings: Settings) -> None:
    settings.TRANSCRIBE_ENGINES = ["local"]
    assert not StartForm({"engine": "scripted"}).is_valid()
    assert list(HistoryForm().fields["engine"].choices) == [("", "Any engine"), ("local", LocalEngine.label)]


def test_the_languages_of_a_single_engine_need_no_group(settings: Settings) -> None:
    settings.TRANSCRIBE_ENGINES = ["scripted"]
    form = StartForm()
    assert form.fields["language_code"].widget.choices == LANGUAGES[1][1]
    assert form["language_code"].value() == "en-US"


def test_an_unconfigured_engine_is_accepted_but_not_offered(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TRANSCRIBE_ENGINES = ["scripted", "aws"]
    monkeypatch.setattr(AwsEngine, "missing", classmethod(lambda cls: "Set AWS_REGION."))
    form = StartForm({"engine": "aws", "show_speaker_label": "on"})
    assert form.fields["engine"].widget.choices == [("scripted", "Scripted")]
    assert form.option_forms == []
    assert form.is_valid(), "what is missing is said when the job starts"
    settings.TRANSCRIBE_DEFAULT_ENGINE = "aws"
    assert [name for name, _ in StartForm().fields["engine"].widget.choices] == ["scripted", "aws"]


def test_every_declared_option_has_a_field_of_its_kind(with_aws: Settings) -> None:
    (form,) = StartForm().option_forms
    assert form.engine is AwsEngine
    assert [*form.fields] == [option.name for option in AwsEngine.options]
    kinds = {name: form[name].widget_type for name in form.fields}
    assert kinds["show_speaker_label"] == kinds["content_identification_type"] == "tick"
    assert kinds["language_options"] == kinds["pii_entity_types"] == "ticks"
    assert kinds["preferred_language"] == "select"
    assert kinds["vocabulary_name"] == "text"
    assert kinds["vocabulary_names"] == "words"
    assert [name for name in form.fields if "data-identifies" in form.fields[name].widget.attrs] == [
        "identify_language",
        "identify_multiple_languages",
    ]
    assert form["show_speaker_label"].auto_id == "id_aws_show_speaker_label"


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ("", {}),
        ("show_speaker_label=on", {"show_speaker_label": True}),
        ("show_speaker_label=true&enable_channel_identification=off", {"show_speaker_label": True}),
        ("show_speaker_label=0&vocabulary_name=&vocabulary_names=&language_options=", {}),
        ("content_redaction_type=PII", {"content_redaction_type": "PII"}),
        ("language_options=en-US&language_options=de-DE", {"language_options": ["en-US", "de-DE"]}),
        ("language_options=en-US,%20de-DE", {"language_options": ["en-US", "de-DE"]}),
        ("vocabulary_names=a,b,&vocabulary_names=c", {"vocabulary_names": ["a", "b", "c"]}),
        ("vocabulary_name=%20surgery%20", {"vocabulary_name": "surgery"}),
        ("partial_results_stability=low", {"partial_results_stability": "low"}),
        ("language_code=", {"identify_language": True}),
        ("language_code=&identify_multiple_languages=on", {"identify_multiple_languages": True}),
        ("banana=1", {}),
    ],
)
def test_the_options_form_returns_the_set_options(with_aws: Settings, given: str, options: dict[str, object]) -> None:
    form = StartForm(QueryDict(f"engine=aws&{given}"))
    assert form.is_valid()
    assert form.given_options == options


@pytest.mark.parametrize("engine", ["", "local", "scripted"])
def test_options_of_other_engines_are_ignored(with_aws: Settings, engine: str) -> None:
    form = StartForm(QueryDict(f"engine={engine}&show_speaker_label=on&partial_results_stability=rocky"))
    assert form.is_valid()
    assert form.given_options == {}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (
            "partial_results_stability=rocky",
            "Stability: Select a valid choice. rocky is not one of the available choices.",
        ),
        (
            "language_options=tlh",
            "Likely languages: Select a valid choice. tlh is not one of the available choices.",
        ),
        (
            f"vocabulary_name={'x' * 201}",
            "Vocabulary: Ensure this value has at most 200 characters (it has 201).",
        ),
        (
            f"vocabulary_names=a,{'x' * 201}",
            "Vocabularies: Ensure this value has at most 200 characters (it has 201).",
        ),
        ("vocabulary_name=%00", "Vocabulary: Null characters are not allowed."),
    ],
)
def test_an_invalid_option_is_named_in_the_error(with_aws: Settings, given: str, reason: str) -> None:
    form = StartForm(QueryDict(f"engine=aws&{given}"))
    assert not form.is_valid()
    assert form.reasons() == [reason]
    assert [*form.option_forms[0].errors] == [given.partition("=")[0]]


def test_a_refusal_is_shown_at_the_options_if_some_were_set(with_aws: Settings) -> None:
    with_options, without = StartForm({"engine": "aws", "show_speaker_label": "on"}), StartForm({"engine": "aws"})
    for form in (with_options, without):
        assert form.is_valid()
        form.refuse("It can't be.")
        assert form.reasons() == ["It can't be."]
    assert with_options.option_forms[0].non_field_errors() == ["It can't be."]
    assert without.non_field_errors() == ["It can't be."]


def test_the_history_filter_offers_all_statuses_and_engines() -> None:
    form = HistoryForm()
    assert form.fields["status"].choices == [
        ("", "Any status"),
        ("queued", "Queued"),
        ("running", "Transcribing"),
        ("completed", "Done"),
        ("failed", "Failed"),
        ("cancelled", "Cancelled"),
    ]
    assert list(form.fields["engine"].choices) == [
        ("", "Any engine"),
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
def test_unknown_filter_values_filter_nothing(given: dict[str, str], narrowed: dict[str, str]) -> None:
    form = HistoryForm(given)
    form.is_valid()
    assert form.cleaned_data == narrowed
