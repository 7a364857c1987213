"""The player's keys, and the undo of a rename."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests import recordings
from tests.site import Site, wait_until
from tests.visitor import Visitor, rows

NewPage = Callable[..., Page]


@pytest.fixture(scope="module")
def site(still_site: Site) -> Site:
    return still_site


@pytest.fixture(scope="module")
def upload(site: Site) -> str:
    """Upload a recording of 44.4 s and return its id."""
    with Visitor(site) as visitor:
        return visitor.upload(recordings.speech("two_cities"))


@pytest.fixture(params=["upload", "job"])
def page(new_page: NewPage, visitor: Visitor, upload: str, request: pytest.FixtureRequest) -> Page:
    """Return each page that has a player, after the player has loaded the start of the audio."""
    page = new_page()
    page.goto(f"/uploads/{upload}/" if request.param == "upload" else f"/jobs/{visitor.start(upload)}/")
    wait_until(lambda: audio(page, "audio.readyState > 0"), what="loading")
    return page


def audio(page: Page, expression: str) -> object:
    return page.locator("audio").evaluate(f"audio => {expression}")


def test_space_plays_and_pauses(page: Page) -> None:
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    wait_until(lambda: audio(page, "!audio.paused && audio.currentTime > 0"), what="playing")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    assert audio(page, "audio.paused")
    assert page.evaluate("scrollY") == 0, "the key scrolls nothing"


def test_j_and_l_seek_five_seconds_back_and_forward_except_in_a_text_field(page: Page) -> None:
    now = page.locator(".now")
    for key, place in (("l", "0:05"), ("l", "0:10"), ("j", "0:05"), ("j", "0:00"), ("j", "0:00")):
        page.keyboard.press(key)
        expect(now).to_have_text(place)
    page.locator(".speed").focus()
    page.keyboard.press("l")
    expect(now).to_have_text("0:00")


def test_the_waveform_is_a_slider_for_the_arrow_keys(page: Page) -> None:
    slider = page.get_by_role("slider", name="Playback position")
    expect(slider).to_have_attribute("aria-valuemax", "44")
    slider.focus()
    keys = [
        ("ArrowRight", "5"),
        ("ArrowUp", "10"),
        ("ArrowLeft", "5"),
        ("ArrowDown", "0"),
        ("PageUp", "30"),
        ("End", "44"),
        ("PageDown", "14"),
        ("Home", "0"),
        ("ArrowLeft", "0"),
    ]
    for key, place in keys:
        page.keyboard.press(key)
        expect(slider).to_have_attribute("aria-valuenow", place)
    page.keyboard.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuetext", "0:05 of 0:44")
    assert audio(page, "audio.currentTime") == 5


@pytest.mark.parametrize("place", ["library", "upload"])
def test_undo_restores_the_old_name_of_a_recording(new_page: NewPage, site: Site, visitor: Visitor, place: str) -> None:
    upload = visitor.upload(recordings.tone(1.0))

    def stored() -> str:
        return str(rows(site, f"select name from uploads_upload where id = '{upload.replace('-', '')}'")[0][0])

    before = stored()
    page = new_page()
    page.goto("/" if place == "library" else f"/uploads/{upload}/")
    named = page.locator("[data-named]").first
    if place == "library":
        named.get_by_label("Actions for").click()
    named.get_by_role("link", name="Rename").click()
    expect(named.get_by_label("New name")).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.type("A fine name.wav")
    page.keyboard.press("Enter")
    expect(named.get_by_text("Renamed.")).to_be_visible()
    expect(named.locator(".name")).to_have_text("A fine name.wav")
    assert stored() == "A fine name.wav"
    named.get_by_role("button", name="Undo").click()
    expect(named.locator(".name")).to_have_text(before)
    wait_until(lambda: stored() == before, what="the undoing")
    page.reload()
    expect(page.locator("[data-named]").first.locator(".name")).to_have_text(before)
