"""Live text in two browsers at once, one of which joins late."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, WebSocket, expect

from tests import recordings
from tests.browser.conftest import JOB_TIMEOUT
from tests.browser.test_live import FINAL, words_on
from tests.site import Site, wait_until
from tests.visitor import Visitor, rows
from tests.words import LARGEST_ERROR, TEXTS, word_error_rate

pytestmark = pytest.mark.chromium("its subject is the server")

# Record each text that a job page shows as a partial.
NOTE_PARTIALS = """() => {
    window.partials = [];
    const note = () => {
        for (const shown of document.querySelectorAll(".segment.partial .text")) {
            window.partials.push(shown.textContent);
        }
    };
    const everything = {subtree: true, childList: true, characterData: true};
    new MutationObserver(note).observe(document.querySelector(".transcript"), everything);
    note();
}"""


@pytest.fixture(scope="module")
def site(shared_site: Callable[..., Site]) -> Site:
    """Return a site that runs one job at a time."""
    return shared_site(DJANGO_SETTINGS_MODULE="tests.served", TRANSCRIBE_MAX_JOBS="1")


@pytest.fixture(scope="module")
def endless(site: Site, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Upload a recording of 60 s and return its id. A job at a tenth of real time runs for ten minutes."""
    with Visitor(site) as visitor:
        return visitor.upload(recordings.numbers(tmp_path_factory.mktemp("endless") / "numbers.wav", 120))


def stored_words(site: Site, job: str) -> str:
    query = f"select text from streaming_segment where job_id = '{job.replace('-', '')}' order by seq"
    return " ".join(row[0] for row in rows(site, query))


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("two_cities", "wav"),
        ("two_cities", "mp4"),
        ("beckett", "mp3"),
        ("beckett", "ogg"),
        ("endgame_nagg_nell", "m4a"),
    ],
)
def test_two_browsers_one_of_which_joins_late_end_with_the_text_of_the_database(
    new_page: Callable[..., Page], site: Site, visitor: Visitor, endless: str, name: str, suffix: str
) -> None:
    upload = visitor.upload(recordings.encode(recordings.speech(name), suffix))
    early = new_page()
    received: list[str | bytes] = []

    def listen(socket: WebSocket) -> None:
        socket.on("framereceived", lambda frame: received.append(frame))

    early.on("websocket", listen)
    early.goto(f"/uploads/{upload}/")
    # Another job holds the only slot until `early` watches ours, so that ours can't end before.
    another = visitor.start_scripted(endless, pace=0.1)
    early.get_by_label("Engine").select_option("local")
    early.get_by_role("button", name="Transcribe", exact=True).click()
    early.wait_for_url("**/jobs/*/")
    job = early.url.rstrip("/").rsplit("/", 1)[1]
    early.evaluate(NOTE_PARTIALS)
    wait_until(lambda: early.title() and received, what="the snapshot")
    expect(early.get_by_text("Queued")).to_be_visible()
    assert visitor.http.post(f"/jobs/{another}/delete/").status_code == 204

    expect(early.locator(FINAL).first).to_be_attached(timeout=JOB_TIMEOUT)
    late = new_page()
    late.goto(early.url)
    for page in (early, late):
        expect(page.get_by_text("Done")).to_be_visible(timeout=JOB_TIMEOUT)
        expect(page.locator(".segment.partial")).to_have_count(0)
    assert words_on(early) == words_on(late) == stored_words(site, job) != ""
    if name in TEXTS:
        assert word_error_rate(TEXTS[name], words_on(early)) <= LARGEST_ERROR[name] + 0.03
    assert early.evaluate("window.partials.length") > 0
    late.reload()  # a page that is loaded again is the same
    assert words_on(late) == stored_words(site, job)
