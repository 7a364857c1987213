"""The player when the audio can't be played: it shows the cause, and the person can retry."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests import recordings
from tests.browser import engines
from tests.browser.conftest import open_context
from tests.site import Site, wait_until
from tests.visitor import Visitor

NewPage = Callable[..., Page]
LISTEN = "**/uploads/*/listen/"
NETWORK = "The connection to the server was lost, so the audio could not be loaded."
SERVER = "The server can't send this recording now."
MISSING = "The file of this recording is missing on the server."
SIGNED_OUT = "You've been signed out. Sign in in another tab, then try again."
DEVICE = "The browser found no audio device. Connect speakers or headphones, then try again."
DECODING = "This audio can't be decoded. The file may be damaged."
FORMAT = "This browser can't play this kind of file."
SENTENCES = [NETWORK, SERVER, MISSING, SIGNED_OUT, DEVICE, DECODING, FORMAT]


@pytest.fixture(scope="module")
def site(still_site: Site) -> Site:
    return still_site


@pytest.fixture
def upload(visitor: Visitor) -> str:
    """Upload a recording of 44.4 s and return its id."""
    return visitor.upload(recordings.speech("two_cities"))


@pytest.fixture
def page(new_page: NewPage, upload: str) -> Page:
    """Return a recording's page. The browser can't load the audio, because the connection is lost."""
    page = new_page(tells_errors=False)  # browsers log failed requests on their console
    page.route(LISTEN, lambda route: route.abort("connectionrefused"))
    page.goto(f"/uploads/{upload}/")
    expect_fault(page, NETWORK)
    return page


def audio(page: Page, expression: str) -> object:
    return page.locator("audio").evaluate(f"audio => {expression}")


def expect_fault(page: Page, sentence: str) -> None:
    """Expect this sentence and no other, and controls that can still be used."""
    fault = page.get_by_role("alert")
    expect(fault.get_by_text(sentence)).to_be_visible()
    for other in SENTENCES:
        expect(fault.get_by_text(other)).to_be_visible(visible=other == sentence)
    expect(fault.get_by_role("link", name="Download it")).to_be_visible(visible=sentence in (DEVICE, DECODING, FORMAT))
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()


def try_again(page: Page) -> None:
    page.get_by_role("button", name="Try again").click()


def expect_play(page: Page) -> None:
    """Seek to 10 s, retry, and expect that the audio plays from there."""
    for _ in range(2):
        page.get_by_role("button", name="Forward 5 seconds").click()
    expect(page.locator(".now")).to_have_text("0:10")
    try_again(page)
    expect(page.get_by_role("alert")).to_be_hidden()
    page.get_by_role("button", name="Play", exact=True).click()
    wait_until(lambda: audio(page, "!audio.paused && audio.currentTime > 10"), what="playing")


def test_the_player_reports_a_lost_connection_and_retries(page: Page) -> None:
    page.unroute(LISTEN)
    expect_play(page)


def test_play_retries_after_a_player_fault(page: Page) -> None:
    page.unroute(LISTEN)
    page.get_by_role("button", name="Play", exact=True).click()
    wait_until(lambda: audio(page, "!audio.paused && audio.currentTime > 0"), what="playing")
    expect(page.get_by_role("alert")).to_be_hidden()


def test_the_player_reports_an_unavailable_server_and_retries(page: Page) -> None:
    page.unroute(LISTEN)
    page.route(LISTEN, lambda route: route.fulfill(status=503, body="The storage can't be reached now."))
    try_again(page)
    expect_fault(page, SERVER)
    page.unroute(LISTEN)
    expect_play(page)


def test_the_player_reports_a_sign_out_and_plays_after_a_sign_in(page: Page) -> None:
    cookies = page.context.cookies()
    page.unroute(LISTEN)
    page.context.clear_cookies(name="sessionid")
    try_again(page)
    expect_fault(page, SIGNED_OUT)
    page.context.add_cookies(cookies)  # type: ignore[arg-type]
    expect_play(page)


def test_the_player_reports_a_missing_file(page: Page, site: Site, upload: str) -> None:
    next((site.folder / "media").rglob(upload)).unlink()
    page.unroute(LISTEN)
    try_again(page)
    expect_fault(page, MISSING)


def damaged(m4a: Path) -> bytes:
    """Return an M4A with an intact beginning and end, and noise in the middle."""
    content = m4a.read_bytes()
    first, last = len(content) // 20, len(content) // 2
    return content[:first] + bytes(byte ^ 0x5A for byte in content[first:last]) + content[last:]


@pytest.mark.parametrize(("kind", "sentence"), [("audio/mp4", DECODING), ("audio/x-unknown", FORMAT)])
def test_the_player_distinguishes_an_unknown_format_from_damaged_audio(page: Page, kind: str, sentence: str) -> None:
    body = damaged(recordings.encode(recordings.speech("two_cities"), "m4a")) if kind == "audio/mp4" else b"text " * 99

    def answer(route: Route) -> None:
        if route.request.method == "HEAD":
            route.fulfill(content_type=kind)
        else:
            route.fulfill(body=body, content_type=kind)

    page.unroute(LISTEN)
    page.route(LISTEN, answer)
    page.get_by_role("button", name="Play", exact=True).click()
    expect_fault(page, sentence)


@pytest.mark.firefox("Chromium plays without an audio device")
def test_the_player_reports_a_missing_audio_device(deaf_firefox: Browser, site: Site, upload: str) -> None:
    with open_context(deaf_firefox, site) as context:
        page = context.new_page()
        page.goto(f"/uploads/{upload}/")
        wait_until(lambda: audio(page, "audio.readyState > 0"), what="loading")
        page.get_by_role("button", name="Play", exact=True).click()
        expect_fault(page, DEVICE)
        try_again(page)
        expect_fault(page, DEVICE)


@pytest.fixture
def deaf_firefox(browser: Browser, tmp_path: Path) -> Iterator[Browser]:
    """Yield a Firefox without an audio device. It shares the Playwright of `browser`: a thread can have only one."""
    deaf = engines.firefox(browser.browser_type, tmp_path, pulse_server="")
    yield deaf
    deaf.close()
