"""The page of a watched job: a killed server, a cancel, a resume, a download, a deletion, and playing a line."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests import recordings
from tests.browser.conftest import JOB_TIMEOUT
from tests.site import Site, wait_until
from tests.streaming.conftest import words
from tests.visitor import Visitor, change, segments, status
from tests.words import LARGEST_ERROR, TWO_CITIES, word_error_rate

pytestmark = pytest.mark.chromium("it watches WebSockets")

NewPage = Callable[..., Page]
FINAL = ".segment:not(.partial)"


def words_on(page: Page) -> str:
    """Return the text of the transcript on a page."""
    return " ".join(page.locator(".segment .text").all_text_contents())


def stored_words(site: Site) -> str:
    return " ".join(row[3] for row in segments(site))


def test_a_job_page_reconnects_after_the_server_was_killed(new_page: NewPage, site: Site, visitor: Visitor) -> None:
    job = visitor.start(visitor.upload(recordings.speech("two_cities")))
    page = new_page(tells_errors=False)  # the browser logs failed connections on its console
    page.goto(f"/jobs/{job}/")
    expect(page.locator(FINAL).nth(2)).to_be_attached(timeout=JOB_TIMEOUT)
    site.kill()
    expect(page.get_by_text("Reconnecting…")).to_be_visible()
    site.start(port=int(site.url.rsplit(":", 1)[1]))
    expect(page.get_by_text("Done")).to_be_visible(timeout=JOB_TIMEOUT)
    expect(page.get_by_text("Reconnecting…")).to_be_hidden()
    assert words_on(page) == stored_words(site)
    assert word_error_rate(TWO_CITIES, words_on(page)) <= LARGEST_ERROR["two_cities"] + 0.03


@pytest.fixture
def slow_job(visitor: Visitor, tmp_path: Path) -> str:
    """Start a job that runs for half a minute, and return its id."""
    return visitor.start_scripted(visitor.upload(recordings.numbers(tmp_path / "numbers.wav", 60)), pace=1.0)


@pytest.mark.parametrize("site", [{"DJANGO_SETTINGS_MODULE": "tests.served"}], indirect=True)
def test_a_job_can_be_cancelled_and_resumed_on_its_page(new_page: NewPage, site: Site, slow_job: str) -> None:
    page, other = new_page(), new_page()
    for window in (page, other):
        window.goto(f"/jobs/{slow_job}/")
    expect(page.locator(FINAL).nth(1)).to_be_attached(timeout=JOB_TIMEOUT)
    page.get_by_role("button", name="Cancel").click()
    for window in (page, other):
        expect(window.locator(".state[data-status=cancelled]")).to_be_visible()
    assert status(site) == "cancelled"
    expect(page.locator(".segment.partial")).to_have_count(0)
    change(site, "update streaming_job set options = '{}'")  # the next attempt runs without delay
    page.get_by_role("button", name="Resume").click()
    for window in (page, other):
        expect(window.get_by_text("Done")).to_be_visible(timeout=JOB_TIMEOUT)
    assert words_on(page) == words_on(other) == stored_words(site) == " ".join(words(60))


def test_downloads_of_a_finished_job_contain_the_text_of_its_page(
    new_page: NewPage, site: Site, visitor: Visitor
) -> None:
    job = visitor.start(visitor.upload(recordings.speech("beckett")))
    page = new_page()
    page.goto(f"/jobs/{job}/")
    expect(page.get_by_text("Done")).to_be_visible(timeout=JOB_TIMEOUT)
    for label in ("Text", "SRT", "VTT", "JSON"):
        with page.expect_download() as download:
            page.locator(".take").get_by_role("link", name=label, exact=True).click()
        content = download.value.path().read_text()
        assert page.locator(".segment .text").first.text_content() in content
    assert download.value.suggested_filename == "beckett.json"


def test_a_watched_job_page_shows_that_its_job_was_deleted(new_page: NewPage, visitor: Visitor) -> None:
    job = visitor.start(visitor.upload(recordings.speech("beckett")))
    page = new_page()
    page.goto(f"/jobs/{job}/")
    expect(page.get_by_text("Done")).to_be_visible(timeout=JOB_TIMEOUT)
    assert visitor.http.post(f"/jobs/{job}/delete/").status_code == 204
    expect(page.get_by_text("This transcript was deleted")).to_be_visible()
    assert page.locator(".segment").count() > 0, "what is on the page can still be read"


def test_a_click_on_a_segment_plays_it_on_a_live_page(new_page: NewPage, site: Site, visitor: Visitor) -> None:
    job = visitor.start(visitor.upload(recordings.speech("two_cities")))
    page = new_page()
    page.goto(f"/jobs/{job}/")
    expect(page.get_by_text("Done")).to_be_visible(timeout=JOB_TIMEOUT)
    start = segments(site)[4][1]
    page.locator(".segment").nth(4).click()
    audio = page.locator("audio")
    wait_until(lambda: audio.evaluate("audio => audio.played.length"), what="playing")
    assert audio.evaluate("audio => audio.played.start(0)") == pytest.approx(start, abs=0.5)
