"""The form that starts a job: the fields of each engine, and the values that it submits."""

import re
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests import recordings
from tests.browser.conftest import open_context
from tests.site import Site
from tests.visitor import Visitor, rows

pytestmark = pytest.mark.chromium("its subject is a form")

NewPage = Callable[..., Page]
QUOTE = re.compile(r"Takes about 45 s · about \$0\.02 · audio is sent to Amazon Transcribe in eu-west-1$")


@pytest.fixture(scope="module")
def site(shared_site: Callable[..., Site]) -> Site:
    """Return a site that offers two engines and runs no jobs."""
    return shared_site(TRANSCRIBE_RUN_JOBS="0", AWS_REGION="eu-west-1")


@pytest.fixture(scope="module")
def upload(site: Site) -> str:
    with Visitor(site) as visitor:
        return visitor.upload(recordings.speech("two_cities"))


@pytest.fixture
def page(new_page: NewPage, upload: str) -> Page:
    page = new_page()
    page.goto(f"/uploads/{upload}/")
    return page


def languages(page: Page) -> list[str]:
    return page.get_by_label("Language", exact=True).locator("option").all_text_contents()


def started(site: Site) -> tuple[str, str, str]:
    """Return engine, language and options (JSON) of the newest job."""
    found = rows(site, "select engine, language_code, options from streaming_job order by created_at desc limit 1")
    return found[0]  # type: ignore[return-value]


def test_the_start_form_shows_the_fields_of_the_chosen_engine_only(page: Page) -> None:
    quote, more = page.get_by_text(QUOTE), page.get_by_text("More options for Amazon Transcribe")
    expect(page.get_by_label("Engine")).to_have_value("local")
    expect(quote).to_be_hidden()
    expect(more).to_be_hidden()
    assert languages(page) == ["English, US", "English, British", "English, Australian"]
    page.get_by_label("Language", exact=True).select_option("en-AU")
    page.get_by_label("Engine").select_option("aws")
    expect(quote).to_be_visible()
    expect(page.get_by_text("With Amazon Transcribe:")).to_be_hidden()
    expect(more).to_be_visible()
    assert len(languages(page)) == 100
    expect(page.get_by_label("Language", exact=True)).to_have_value("en-AU")
    page.get_by_label("Language", exact=True).select_option("zu-ZA")
    page.get_by_label("Engine").select_option("local")
    expect(quote).to_be_hidden()
    expect(page.get_by_label("Language", exact=True)).to_have_value("en-AU")
    page.get_by_label("Engine").select_option("aws")
    expect(page.get_by_label("Language", exact=True)).to_have_value("zu-ZA")


def test_the_language_field_is_disabled_while_the_engine_detects_the_language(page: Page, site: Site) -> None:
    language = page.get_by_label("Language", exact=True)
    page.get_by_label("Engine").select_option("aws")
    language.select_option("de-DE")
    page.get_by_text("More options").click()
    page.get_by_label("Detect language").check()
    expect(language).to_be_disabled()
    expect(language.locator("option:checked")).to_have_text("Detected by Amazon Transcribe")
    page.get_by_label("Detect language").uncheck()
    expect(language).to_be_enabled()
    expect(language).to_have_value("de-DE")

    page.get_by_text("More options").click()
    expect(page.get_by_label("Detect language")).to_be_hidden()
    language.select_option("Detected by Amazon Transcribe")
    expect(page.get_by_label("Detect language")).to_be_checked()
    expect(page.get_by_label("Detect language")).to_be_focused()
    expect(language).to_be_disabled()
    page.get_by_label("German", exact=True).check()
    page.get_by_label("French", exact=True).check()
    page.get_by_role("button", name="Transcribe", exact=True).click()
    expect(page.get_by_text("Detect language, likely languages: French / German")).to_be_visible()
    assert started(site) == ("aws", "", '{"identify_language": true, "language_options": ["fr-FR", "de-DE"]}')


def test_the_start_form_does_not_submit_options_of_other_engines(page: Page, site: Site) -> None:
    page.get_by_label("Engine").select_option("aws")
    page.get_by_text("More options").click()
    page.get_by_label("Detect language").check()
    page.get_by_label("Engine").select_option("local")
    expect(page.get_by_label("Language", exact=True)).to_be_enabled()
    page.get_by_role("button", name="Transcribe", exact=True).click()
    expect(page.locator(".state[data-status=queued]")).to_be_visible()
    assert started(site) == ("local", "en-US", "{}")


def test_refused_options_are_kept_and_the_reason_is_shown_beside_them(new_page: NewPage, upload: str) -> None:
    page = new_page(tells_errors=False)  # the browser logs the status 400 on its console
    page.goto(f"/uploads/{upload}/")
    page.get_by_label("Engine").select_option("aws")
    page.get_by_label("Language", exact=True).select_option("de-DE")
    page.get_by_text("More options").click()
    page.get_by_label("Transcribe channels separately").check()
    page.get_by_role("button", name="Transcribe", exact=True).click()
    expect(
        page.locator(".options").get_by_text("Channels can be transcribed separately only in a stereo")
    ).to_be_visible()
    expect(page.get_by_label("Engine")).to_have_value("aws")
    expect(page.get_by_label("Language", exact=True)).to_have_value("de-DE")
    expect(page.get_by_label("Transcribe channels separately")).to_be_checked()


def test_the_start_form_works_without_javascript(new_page: NewPage, site: Site, upload: str) -> None:
    page = new_page(java_script_enabled=False)
    page.goto(f"/uploads/{upload}/")
    expect(page.get_by_text(QUOTE)).to_be_visible()
    expect(page.get_by_text("With Amazon Transcribe:")).to_be_visible()
    page.get_by_label("Engine").select_option("aws")
    page.get_by_label("Language", exact=True).select_option("German")
    page.get_by_text("More options for Amazon Transcribe").click()
    page.get_by_label("Identify speakers").check()
    page.get_by_role("button", name="Transcribe", exact=True).click()
    page.wait_for_url("**/jobs/*/")
    expect(page.get_by_text("Identify speakers")).to_be_visible()
    assert started(site) == ("aws", "de-DE", '{"show_speaker_label": true}')


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_engine_options_are_accessible_and_fit_the_page(
    new_page: NewPage, upload: str, scheme: str, width: int
) -> None:
    page = new_page(color_scheme=scheme, viewport={"width": width, "height": 800})
    page.goto(f"/uploads/{upload}/")
    page.get_by_label("Engine").select_option("aws")
    page.get_by_text("More options").click()
    violations = Axe().run(page).response["violations"]
    found = [violation for violation in violations if violation["impact"] in ("serious", "critical")]
    assert found == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_a_new_upload_links_to_the_price_instead_of_starting_a_paid_job(
    browser: Browser, new_site: Callable[..., Site]
) -> None:
    site = new_site(TRANSCRIBE_RUN_JOBS="0", TRANSCRIBE_ENGINE="aws", AWS_REGION="eu-west-1")
    site.start()
    with open_context(browser, site) as context:
        page = context.new_page()
        page.goto("/")
        page.locator("input[type=file]").set_input_files(recordings.speech("two_cities"))
        page.get_by_role("link", name="Transcribe…").click()
        expect(page.locator("#transcribe")).to_be_in_viewport()
        expect(page.get_by_text(QUOTE)).to_be_visible()
    assert rows(site, "select count(*) from streaming_job") == [(0,)]
