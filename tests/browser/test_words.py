"""Live words on a job's page: their places, the scrolling, the time left, and revised partials."""

from collections.abc import Callable

import pytest
from playwright.sync_api import ElementHandle, Page, expect

from tests import recordings
from tests.browser.stage import Stage
from tests.site import Site, wait_until
from tests.visitor import Visitor

Open = Callable[..., Stage]
LATER = "2026-01-02T03:05:06.000007+00:00"
COPIED_MS = 2_000  # a constant of job.js


@pytest.fixture(scope="module")
def site(still_site: Site) -> Site:
    return still_site


@pytest.fixture(scope="module")
def job(site: Site) -> str:
    with Visitor(site) as visitor:
        return visitor.start(visitor.upload(recordings.tone(1.0)))


@pytest.fixture
def stage(new_page: Callable[..., Page], job: str) -> Stage:
    page = new_page(viewport={"width": 900, "height": 600}, permissions=["clipboard-read", "clipboard-write"])
    return Stage(page, job)


def scrolled(page: Page) -> float:
    y: float = page.evaluate("scrollY")
    return y


def stop_clock(page: Page) -> None:
    """Stop the page's clock. After that only `clock.run_for` advances it."""
    page.clock.install(time=1_000_000)
    page.clock.pause_at(1_001_000)


def is_at_end(page: Page) -> bool:
    return bool(page.evaluate("scrollY > 0 && scrollY + innerHeight >= document.documentElement.scrollHeight - 1"))


def test_the_page_follows_new_words_until_the_reader_scrolls_up_and_again_after_jump_to_live(stage: Stage) -> None:
    page = stage.open().page
    pill = page.get_by_role("button", name="Jump to live")
    stage.finals(20)
    wait_until(lambda: is_at_end(page), what="following")
    expect(page.locator("#s20")).to_be_in_viewport()
    stage.finals(1)
    wait_until(lambda: is_at_end(page), what="following")
    expect(page.locator("#s21")).to_be_in_viewport()
    expect(pill).to_be_hidden()

    there = scrolled(page) - 500
    page.mouse.move(450, 300)
    page.mouse.wheel(0, -500)
    wait_until(lambda: scrolled(page) == there, what="the end of the scrolling")
    expect(pill).to_be_visible()
    stage.finals(3)
    stage.partial(100.0, "and still it goes on")
    expect(page.get_by_text("and still it goes on")).to_be_attached()
    assert scrolled(page) == there, "who reads elsewhere is left there"
    expect(pill).to_be_visible()

    pill.click()
    wait_until(lambda: is_at_end(page), what="the jump")
    expect(page.get_by_text("and still it goes on")).to_be_in_viewport()
    expect(pill).to_be_hidden()
    stage.finals(1)
    wait_until(lambda: is_at_end(page), what="following again")
    expect(page.locator("#s25")).to_be_in_viewport()


def test_the_jump_to_live_button_disappears_when_the_job_ends(stage: Stage) -> None:
    page = stage.open().page
    stage.finals(20)
    wait_until(lambda: is_at_end(page), what="following")
    page.mouse.move(450, 300)
    page.mouse.wheel(0, -500)
    expect(page.get_by_role("button", name="Jump to live")).to_be_visible()
    stage.status(status="completed", finished_at=LATER)
    expect(page.get_by_role("button", name="Jump to live")).to_be_hidden()


def test_the_remaining_time_appears_after_four_seconds_of_progress(stage: Stage) -> None:
    page = stage.page
    stop_clock(page)
    stage.open()
    detail = page.locator(".detail")
    stage.status(position=5.0)
    expect(detail).to_have_text("0:05 of 10:00")
    stage.status(started_at=LATER, position=0.0)  # the page measures the speed from here: two seconds of audio a second
    expect(detail).to_have_text("0:00 of 10:00")
    place = 0.0
    for seconds, said in (
        (1, "0:02 of 10:00"),
        (1, "0:04 of 10:00"),
        (1, "0:06 of 10:00"),
        (1, "0:08 of 10:00 · about 5 min left"),
        (20, "0:48 of 10:00 · about 5 min left"),
        (20, "1:28 of 10:00 · about 4 min left"),
    ):
        place += 2 * seconds
        page.clock.run_for(seconds * 1000)
        stage.status(position=place)
        expect(detail).to_have_text(said)
    # No progress for 20 s: the page removes its outdated estimate.
    page.clock.run_for(20_000)
    stage.status()
    page.clock.run_for(20_000)
    expect(detail).to_have_text("1:28 of 10:00")


def test_a_partial_that_becomes_final_keeps_its_node_and_place_and_changes_its_colour_only(stage: Stage) -> None:
    page = stage.open().page
    stage.final(0.0, "Before it.")
    stage.partial(4.0, "It was the best of times, it was the worst of")
    stage.partial(9.0, "somebody else speaks", slot="1")
    expect(page.locator(".segment.partial")).to_have_count(2)
    first, second = page.locator(".segment.partial").element_handles()
    stage.partial(4.0, "It was the best of times, it was the worst of times.")
    expect(page.get_by_text("the worst of times.")).to_be_visible()
    boxes, top, ink = [first.bounding_box(), second.bounding_box()], scrolled(page), ink_of(first)
    stage.final(4.0, "It was the best of times, it was the worst of times.")
    expect(page.locator("#s2")).to_be_visible()
    assert page.evaluate("node => node === document.getElementById('s2')", first)
    assert first.get_attribute("class") == "segment"
    assert [first.bounding_box(), second.bounding_box()] == boxes
    assert scrolled(page) == top
    final_ink = ink_of(first)
    assert {name for name in ink if ink[name] != final_ink[name]} == {"color"}


def ink_of(node: ElementHandle) -> dict[str, str]:
    """Return the computed styles of a segment's words that may differ between a partial and its final."""
    names = ["color", "fontFamily", "fontSize", "fontStyle", "fontWeight", "letterSpacing", "lineHeight", "opacity"]
    return node.evaluate(  # type: ignore[no-any-return]
        """(node, names) => {
            const style = getComputedStyle(node.querySelector(".text"));
            return Object.fromEntries(names.map((name) => [name, style[name]]));
        }""",
        names,
    )


def test_partials_of_an_ended_attempt_are_removed_with_the_status_of_the_next(stage: Stage) -> None:
    page = stage.open().page
    partials = page.locator(".segment.partial")
    stage.final(0.0, "Kept.")
    stage.partial(4.0, "never to be fin")
    expect(partials).to_have_count(1)
    stage.status(position=5.0)
    stage.partial(9.0, "in another slot", slot="1")
    expect(partials).to_have_count(2)  # a status of the same attempt removes no partial
    stage.status(started_at=LATER)
    expect(partials).to_have_count(0)
    stage.partial(4.0, "never to be finished")
    expect(partials.locator(".text")).to_have_text(["never to be finished"])
    stage.status(status="queued", started_at=None)
    expect(partials).to_have_count(0)
    expect(page.locator(".segment .text")).to_have_text(["Kept."])


def test_a_snapshot_of_a_new_attempt_leaves_only_its_own_partials(stage: Stage) -> None:
    page = stage.open().page
    stage.partial(4.0, "of the old attempt")
    partials = page.locator(".segment.partial")
    expect(partials).to_have_count(1)
    old = partials.element_handle()
    new = {"slot": "0", "start_time": 4.1, "end_time": 5.0, "text": "of the new attempt"}
    stage.snapshot(new, started_at=LATER)
    expect(partials.locator(".text")).to_have_text(["of the new attempt"])
    assert not old.evaluate("node => node.isConnected")


def test_a_partial_with_another_start_time_moves_to_its_place(stage: Stage) -> None:
    page = stage.open().page
    stage.final(10.0, "In the middle.")
    stage.partial(2.0, "at first")
    expect(page.locator(".segment .text")).to_have_text(["at first", "In the middle."])
    stage.partial(31.0, "and later")
    expect(page.locator(".segment .text")).to_have_text(["In the middle.", "and later"])
    expect(page.locator(".segment .time")).to_have_text(["0:10", "0:31"])


def test_copy_all_puts_the_transcript_on_the_clipboard(stage: Stage) -> None:
    page = stage.page
    stop_clock(page)
    stage.open()
    stage.final(4.0, "He said <b>“so”</b>.")
    stage.final(0.0, "Before that.")
    stage.partial(8.0, "not yet")
    expect(page.locator(".segment.partial")).to_have_count(1)
    for _ in range(2):  # the second press comes while the button still shows the first result
        page.locator(".state-bar [data-copies]").click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "Before that.\nHe said <b>“so”</b>."
    stage.final(8.0, "Now.")
    stage.status(status="completed", finished_at=LATER)
    page.clock.run_for(COPIED_MS)
    expect(page.get_by_role("button", name="Copy", exact=True)).to_be_visible()
    page.get_by_role("button", name="Copy all").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "Before that.\nHe said <b>“so”</b>.\nNow."
