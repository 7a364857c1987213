"""Live lists: a page shows the changes of other tabs and of workers without a reload."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests import recordings
from tests.browser.conftest import JOB_TIMEOUT
from tests.site import Site, wait_until
from tests.visitor import Visitor, change, rows

pytestmark = pytest.mark.chromium("its subject is what the server publishes")

NewPage = Callable[..., Page]


SCRIPTED = pytest.mark.parametrize("site", [{"DJANGO_SETTINGS_MODULE": "tests.served"}], indirect=True)


@SCRIPTED
@pytest.mark.parametrize("address", ["/", "/jobs/"])
def test_the_library_shows_a_running_job_with_its_words_to_the_end(
    new_page: NewPage, site: Site, visitor: Visitor, address: str, tmp_path: Path
) -> None:
    upload = visitor.upload(recordings.numbers(tmp_path / "numbers.wav", 40))
    visitor.start_scripted(upload, pace=2.0)
    page = new_page()
    page.goto(address)
    row = page.locator("[data-row]")
    expect(row.locator(".last-words")).to_have_text(re.compile(r"^w\d+ w\d+ w\d+ w\d+$"))
    expect(row.locator(".percent")).to_have_text(re.compile("[1-9][0-9]%"))
    expect(row.locator(".state")).to_have_text("Done", timeout=JOB_TIMEOUT)
    expect(row.locator(".last-words")).to_be_hidden()


def test_a_list_shows_a_job_that_another_tab_starts(new_page: NewPage, site: Site, visitor: Visitor) -> None:
    upload = visitor.upload(recordings.speech("beckett"))
    page = new_page()
    page.goto("/")
    row = page.locator(f"[data-row='{upload}']")
    expect(row.get_by_role("button", name="Transcribe", exact=True)).to_be_visible()
    visitor.http.post(f"/uploads/{upload}/jobs/")
    expect(row.locator(".state")).to_contain_text("Done", timeout=JOB_TIMEOUT)
    expect(row.get_by_role("button", name="Transcribe", exact=True)).to_have_count(0)


def test_the_page_of_a_recording_lists_a_new_transcript(new_page: NewPage, site: Site, visitor: Visitor) -> None:
    upload = visitor.upload(recordings.speech("beckett"))
    page = new_page()
    page.goto(f"/uploads/{upload}/")
    expect(page.get_by_text("No transcripts yet")).to_be_visible()
    visitor.http.post(f"/uploads/{upload}/jobs/")
    expect(page.locator("[data-row] .state")).to_contain_text("Done", timeout=JOB_TIMEOUT)
    expect(page.get_by_text("No transcripts yet")).to_be_hidden()


def test_the_library_follows_renames_and_deletions_but_keeps_an_open_rename_form(
    new_page: NewPage, site: Site, visitor: Visitor
) -> None:
    kept = visitor.upload(recordings.speech("beckett"))
    deleted = visitor.upload(recordings.tone(1.0))
    page = new_page()
    page.goto("/")
    row = page.locator(f"[data-row='{kept}']")
    row.get_by_label("Actions for").click()
    row.get_by_role("link", name="Rename").click()
    page.keyboard.type("typed")
    visitor.http.post(f"/uploads/{deleted}/delete/")
    visitor.http.post(f"/uploads/{kept}/rename/", data={"name": "Elsewhere.wav"})
    expect(page.locator(f"[data-row='{deleted}']")).to_have_count(0)
    expect(row.get_by_label("New name")).to_have_value("typed.wav")
    page.keyboard.press("Escape")
    expect(row.get_by_role("link", name="Elsewhere.wav")).to_be_visible()


def test_a_list_keeps_refreshing_after_a_fetch_that_took_longer_than_the_interval(
    new_page: NewPage, site: Site, visitor: Visitor
) -> None:
    upload = visitor.upload(recordings.tone(1.0))
    held: list[Route] = []
    page = new_page()
    page.goto("/")
    page.route(re.compile(r"/$"), lambda route: route.continue_() if held else held.append(route))

    def rename(name: str) -> None:
        visitor.http.post(f"/uploads/{upload}/rename/", data={"name": name})

    rename("first.wav")
    wait_until(lambda: bool(page.wait_for_timeout(50) or held), what="the fetch of the page")
    rename("second.wav")
    page.wait_for_timeout(3000)  # the event arrives within a second, and the next refresh is due a second later
    held[0].continue_()
    expect(page.get_by_role("link", name="second.wav")).to_be_visible()
    rename("third.wav")
    expect(page.get_by_role("link", name="third.wav")).to_be_visible()


def test_a_list_draws_a_waveform_that_was_not_ready_at_first(new_page: NewPage, site: Site, visitor: Visitor) -> None:
    upload = visitor.upload(recordings.speech("beckett"))
    wait_until(lambda: rows(site, "select 1 from uploads_upload where peaks is not null"), what="the waveform")
    change(site, "update uploads_upload set peaks = null")  # the state before the waveform was made
    flat, answers = '<svg xmlns="http://www.w3.org/2000/svg"/>', [False, False, True]

    def answer(route: Route) -> None:
        is_made = answers.pop(0) if len(answers) > 1 else answers[0]
        caching = "private, max-age=60" if is_made else "no-store"
        route.fulfill(body=flat, content_type="image/svg+xml", headers={"Cache-Control": caching})

    page = new_page()
    page.route("**/waveform.svg?small", answer)
    page.goto("/")
    expect(page.locator(f"[data-row='{upload}'] img")).to_have_attribute("src", re.compile("#made$"))
