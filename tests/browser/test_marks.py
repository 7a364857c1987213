"""Marks of segments, live and after a reload: personal data, speakers, languages, stable words, waits."""

import json
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests import recordings
from tests.browser.stage import Stage
from tests.site import Site
from tests.visitor import Visitor

pytestmark = pytest.mark.chromium("its subject is the markup of words")

TEXT = "I am Anna Schmidt, of the Schmidts: 555 0100."
WORDS = [
    *[{"text": "I"}, {"text": "am"}, {"text": "Anna", "pii": "NAME"}, {"text": "Schmidt,", "pii": "NAME"}],
    *[{"text": "of"}, {"text": "the"}, {"text": "Schmidts:", "vocabulary_filter_match": True}],
    *[{"text": "555", "pii": "SSN"}, {"text": "0100.", "pii": "SSN"}],
]
SEGMENTS: list[dict[str, Any]] = [
    {"text": TEXT, "words": WORDS, "speaker": "Speaker 1", "language_code": "en-US"},
    {"text": "Well, 😀 yes.", "words": [], "channel": "ch_0", "language_code": "de-DE"},
    {"text": "On it goes.", "words": [], "channel": "ch_0", "language_code": "de-DE"},
    {"text": "It was the", "words": [], "channel": "ch_1", "language_code": "en-US", "is_provisional": True},
]


@pytest.fixture(scope="module")
def site(shared_site: Callable[..., Site]) -> Site:
    return shared_site(TRANSCRIBE_RUN_JOBS="0", AWS_REGION="eu-west-1")


@pytest.fixture(scope="module")
def job(site: Site) -> str:
    with Visitor(site) as visitor:
        upload = visitor.upload(recordings.tone(1.0))
        given = {"engine": "aws", "content_identification_type": "PII"}
        answer = visitor.http.post(f"/uploads/{upload}/jobs/", data=given)
        return str(answer.json()["id"])


@pytest.fixture
def stored_job(site: Site) -> str:
    """Store a job with the segments in the database, and return its id."""
    with Visitor(site) as visitor:
        upload = visitor.upload(recordings.tone(1.0))
        given = {"engine": "aws", "content_identification_type": "PII"}
        job = str(visitor.http.post(f"/uploads/{upload}/jobs/", data=given).json()["id"])
    database = sqlite3.connect(site.folder / "db.sqlite3", timeout=20)
    with database:
        for seq, segment in enumerate(SEGMENTS, start=1):
            row = {"speaker": "", "channel": "", "is_provisional": False, "slot": "0"} | segment
            row |= {"words": json.dumps(segment["words"]), "job_id": job.replace("-", ""), "seq": seq}
            row |= {"start_time": seq * 4.0, "end_time": seq * 4.0 + 2}
            names = ", ".join(row)
            database.execute(
                f"insert into streaming_segment ({names}) values ({', '.join('?' * len(row))})", [*row.values()]
            )
        database.execute("update streaming_job set segment_count = 4 where id = ?", (job.replace("-", ""),))
    database.close()
    return job


@pytest.fixture
def stage(new_page: Callable[..., Page], job: str) -> Stage:
    return Stage(new_page(viewport={"width": 900, "height": 800}), job).open()


def say(stage: Stage, start: float, segment: dict[str, Any], slot: str = "0") -> None:
    stage.seq += 1
    times = {"seq": stage.seq, "start_time": start, "end_time": start + 2}
    stage.send("final", seq=stage.seq, slot=slot, segment=times | segment)


def shown(page: Page) -> list[str]:
    """Return the markup of each segment after its time, without the attribute of the speaker's colour."""
    return page.locator(".segment").evaluate_all(
        """(nodes) => nodes.map((node) => {
            const copy = node.cloneNode(true);
            copy.querySelector(".time").remove();
            copy.querySelector(".speaker")?.removeAttribute("data-colour");
            return copy.innerHTML;
        })"""
    )


def test_live_segments_look_the_same_after_a_reload(
    stage: Stage, new_page: Callable[..., Page], stored_job: str
) -> None:
    for number, segment in enumerate(SEGMENTS, start=1):
        say(stage, number * 4.0, segment)
    expect(stage.page.locator(".segment")).to_have_count(4)
    marks = stage.page.locator("mark").evaluate_all(
        "(nodes) => nodes.map((n) => [n.className, n.title, n.textContent])"
    )
    assert marks == [
        ["pii", "Name", "Anna Schmidt"],
        ["filtered", "In the vocabulary filter", "Schmidts"],
        ["pii", "Social security number", "555 0100"],
    ]
    assert stage.page.locator(".segment .text").first.text_content() == TEXT
    live = shown(stage.page)
    loaded = new_page(viewport={"width": 900, "height": 800})
    loaded.goto(f"/jobs/{stored_job}/")
    expect(loaded.locator(".segment")).to_have_count(4)
    assert shown(loaded) == live
    assert loaded.locator(".tag").all_text_contents() == ["de-DE", "en-US", "not final"]
    assert loaded.locator(".speaker:visible").all_text_contents() == ["Speaker 1", "Channel 1", "Channel 2"]


def test_transcript_text_with_html_is_shown_as_text(stage: Stage) -> None:
    text = "<img src=x> <b>Anna</b>"
    say(stage, 0.0, {"text": text, "words": [{"text": "<b>Anna</b>", "pii": "<i>NAME"}], "channel": "<u>"})
    expect(stage.page.locator("mark")).to_have_text("<b>Anna</b>")
    assert stage.page.locator(".segment .text").text_content() == text
    assert stage.page.locator(".segment :is(img, i, u)").count() == 0


def test_partials_of_two_channels_are_shown_side_by_side(stage: Stage) -> None:
    page = stage.page
    for slot, text in (("ch_0", "I say"), ("ch_1", "and I say"), ("ch_0", "I say so")):
        stage.send("partial", slot=slot, start_time=4.0, end_time=6.0, text=text, channel=slot)
    expect(page.locator(".segment.partial .text")).to_have_text(["I say so", "and I say"])
    assert page.locator(".speaker").all_text_contents() == ["Channel 1", "Channel 2"]
    say(stage, 4.0, {"text": "and I say no.", "words": [], "channel": "ch_1"}, slot="ch_1")
    expect(page.locator(".segment.partial .text")).to_have_text(["I say so"])
    expect(page.locator(".segment:not(.partial) .text")).to_have_text(["and I say no."])


def test_the_stable_prefix_of_a_partial_has_the_colour_of_a_final(stage: Stage) -> None:
    page = stage.page
    text = "One 😀 two three"
    stage.send("partial", slot="0", start_time=0.0, end_time=2.0, text=text, stable=9)
    stable = page.locator(".segment.partial .stable")
    expect(stable).to_have_text("One 😀 two")
    expect(page.locator(".segment.partial .text")).to_have_text(text)
    inks = page.locator(".text, .stable").evaluate_all("(nodes) => nodes.map((node) => getComputedStyle(node).color)")
    say(stage, 0.0, {"text": text, "words": []})
    expect(page.locator("#s1")).to_be_visible()
    final = page.locator("#s1 .text").evaluate("(node) => getComputedStyle(node).color")
    assert (inks[1], inks[0] != final) == (final, True)


def test_a_queued_job_shows_the_reason_of_its_wait(stage: Stage) -> None:
    page = stage.page
    reason = "Waiting for a free Amazon Transcribe stream."
    stage.status(status="queued", failure_reason=reason, started_at=None)
    expect(page.locator(".detail")).to_have_text(reason)
    expect(page.locator(".note.bad").first).to_be_hidden()
    stage.status(status="queued", failure_reason="")
    expect(page.locator(".detail")).to_have_text("Waiting to start")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_marks_and_tags_are_accessible_and_fit(
    new_page: Callable[..., Page], stored_job: str, scheme: str, width: int
) -> None:
    page = new_page(color_scheme=scheme, viewport={"width": width, "height": 800})
    page.goto(f"/jobs/{stored_job}/")
    expect(page.locator("mark")).to_have_count(3)
    violations = Axe().run(page).response["violations"]
    assert [found for found in violations if found["impact"] in ("serious", "critical")] == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
