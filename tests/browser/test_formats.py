"""Durations, times of day and sizes as the pages' scripts format them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.format_examples import CLOCKS, ESTIMATES, IN_WORDS, MOMENTS, SIZES, ZONE

MODULE = (Path(__file__).parents[2] / "static" / "js" / "formats.js").read_text(encoding="utf-8")
CALL = """async ([source, name, calls]) => {
    const module = await import(`data:text/javascript,${encodeURIComponent(source)}`);
    return calls.map((given) => module[name](...given));
}"""
CALL_WITH_DATES = CALL.replace("...given", "...given.map((text) => new Date(text))")


@pytest.fixture
def call(browser: Browser) -> Any:
    """Yield a function that calls formats.js for each list of arguments, on an empty page in the table's time zone."""
    context = browser.new_context(timezone_id=ZONE)
    page = context.new_page()
    yield lambda name, calls, script=CALL: page.evaluate(script, [MODULE, name, calls])
    context.close()


@pytest.mark.parametrize(
    ("name", "examples"),
    [("clock", CLOCKS), ("inWords", IN_WORDS), ("estimate", ESTIMATES), ("size", SIZES)],
)
def test_scripts_format_numbers_as_the_shared_table_says(
    call: Callable[..., list[str]], name: str, examples: list[tuple[float, str]]
) -> None:
    texts = call(name, [[number] for number, _ in examples])
    assert [(number, text) for (number, _), text in zip(examples, texts, strict=True)] == examples


def test_scripts_format_moments_as_the_shared_table_says(call: Callable[..., list[str]]) -> None:
    texts = call("moment", [[at, now] for at, now, _ in MOMENTS], CALL_WITH_DATES)
    assert [(at, now, text) for (at, now, _), text in zip(MOMENTS, texts, strict=True)] == MOMENTS
