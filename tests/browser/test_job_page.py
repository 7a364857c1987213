"""Details of the job page: overlapping parts, links to lines, names, and the page without JavaScript."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests import recordings
from tests.browser.stage import Stage
from tests.site import Site
from tests.visitor import Visitor, change

NewPage = Callable[..., Page]


@pytest.fixture(scope="module")
def site(still_site: Site) -> Site:
    return still_site


@pytest.fixture
def job(visitor: Visitor) -> str:
    """Store a job with two lines, at 1 s and 3.5 s, and return its id."""
    job = visitor.start(visitor.upload(recordings.tone(10.0)))
    for seq, start in ((1, 1.0), (2, 3.5)):
        change(
            visitor.site,
            "insert into streaming_segment (job_id, seq, slot, start_time, end_time, text, speaker, channel,"
            " language_code, words, is_provisional)"
            f" values ('{job.replace('-', '')}', {seq}, '0', {start}, {start + 1}, 'Line', '', '', '', '[]', 0)",
        )
    return job


@pytest.mark.parametrize("width", [390, 1280])
def test_the_jump_to_live_button_covers_no_text(new_page: NewPage, job: str, width: int) -> None:
    page = new_page(viewport={"width": width, "height": 700})
    stage = Stage(page, job).open()
    stage.finals(30)
    expect(page.locator("#s30")).to_be_in_viewport()  # the page has scrolled with the text
    page.mouse.move(200, 300)
    page.mouse.wheel(0, -2000)
    pill = page.get_by_role("button", name="Jump to live")
    expect(pill).to_be_visible()
    inside, bar = pill.bounding_box(), page.locator(".at-foot").bounding_box()
    assert inside is not None
    assert bar is not None
    assert bar["y"] <= inside["y"]
    assert inside["y"] + inside["height"] <= bar["y"] + bar["height"]
    colour = page.locator(".at-foot").evaluate("bar => getComputedStyle(bar).backgroundColor")
    assert re.fullmatch(r"rgb\(.*\)", colour), "no words shine through"


def test_a_long_failure_reason_does_not_enlarge_the_sticky_bar(new_page: NewPage, job: str) -> None:
    page = new_page(viewport={"width": 390, "height": 700})
    stage = Stage(page, job).open()
    stage.finals(30)
    bar = page.locator(".state-bar")
    before = bar.bounding_box()
    stage.status(status="failed", failure_reason="The service refused: " + "because of this and that, " * 30)
    expect(page.locator(".outcome").get_by_text("The service refused")).to_be_attached()
    after = bar.bounding_box()
    assert before is not None
    assert after is not None
    assert after["height"] <= before["height"] + 1


def test_a_failed_job_says_once_what_is_saved_and_whether_to_resume(
    new_page: NewPage, visitor: Visitor, job: str
) -> None:
    page = new_page()
    stage = Stage(page, job).open()
    note = page.locator(".outcome [data-for=failed]")
    stage.status(status="failed", failure_reason="Something went wrong.", can_retry=True)
    expect(note).to_have_text("Something went wrong. The first 2 lines are saved. Resume to continue from there.")
    stage.status(can_retry=False)
    expect(note).to_have_text("Something went wrong. The first 2 lines are saved.")
    stage = Stage(page, visitor.start(visitor.upload(recordings.tone(10.0)))).open()
    stage.status(status="failed", failure_reason="Something went wrong.", can_retry=True)
    expect(note).to_have_text("Something went wrong. Resume to try again.")
    expect(page.get_by_text("Nothing was transcribed.")).to_have_count(1)
    stage.status(can_retry=False)
    expect(note).to_have_text("Something went wrong.")


def test_a_link_to_a_line_moves_the_player_there(new_page: NewPage, job: str) -> None:
    page = new_page()
    page.goto(f"/jobs/{job}/#s2")
    expect(page.locator(".clocks .now")).to_have_text("0:03")
    assert page.locator("audio").evaluate("audio => audio.paused")
    page.evaluate("() => { location.hash = '#s1'; }")
    expect(page.locator(".clocks .now")).to_have_text("0:01")


@pytest.mark.chromium("JavaScript can't be switched off")
def test_without_javascript_the_page_of_a_running_job_reloads_and_hides_the_key_hints(
    new_page: NewPage, job: str
) -> None:
    page = new_page(java_script_enabled=False)
    page.goto(f"/jobs/{job}/")
    assert page.locator("noscript meta[http-equiv=refresh]").count() or 'http-equiv="refresh"' in page.content()
    expect(page.get_by_text("Click a line to play it")).to_be_hidden()
    with page.expect_navigation(url=f"**/jobs/{job}/", timeout=60_000):
        pass  # the page reloads without a click


def test_a_rename_changes_every_name_on_the_page(new_page: NewPage, visitor: Visitor) -> None:
    upload = visitor.upload(recordings.tone(1.0))
    page = new_page()
    for address in (f"/uploads/{upload}/", "/"):
        page.goto(address)
        row = page.locator(f"[data-row='{upload}']") if address == "/" else page.locator(".upload-head")
        if address == "/":
            row.get_by_label("Actions for").click()
        row.get_by_role("link", name="Rename").click()
        name = f"New $& name {len(address)}.wav"
        page.keyboard.press("Control+a")
        page.keyboard.type(name)
        page.keyboard.press("Enter")
        expect(row.locator(".name")).to_have_text(name)
        if address == "/":
            row.get_by_label(f"Actions for {name}").click()
        row.get_by_role("link", name="Delete…").click()
        expect(page.get_by_role("dialog")).to_contain_text(name)
        page.keyboard.press("Escape")


def test_the_admin_shows_a_jobs_facts_compactly_on_a_phone(new_page: NewPage, job: str) -> None:
    page = new_page(viewport={"width": 390, "height": 844})
    page.goto(f"/admin/streaming/job/{job}/change/")
    heights = page.locator(".form-multiline > div").evaluate_all("rows => rows.map((row) => row.offsetHeight)")
    assert len(heights) > 5
    assert max(heights) < 100
