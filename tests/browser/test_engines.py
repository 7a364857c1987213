"""The admin's page of engines while a connection test runs."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.site import Site

pytestmark = pytest.mark.chromium("its subject is the server")

COUNT = """document.addEventListener("submit", (event) => {
    event.preventDefault(); // the page stays, as it does until the answer comes
    window.sent = (window.sent ?? 0) + 1;
})"""


@pytest.fixture(scope="module")
def site(shared_site: Callable[..., Site]) -> Site:
    return shared_site(TRANSCRIBE_RUN_JOBS="0", AWS_REGION="eu-west-1")


def test_a_connection_test_starts_once_and_shows_that_it_is_running(new_page: Callable[..., Page]) -> None:
    page = new_page()
    page.goto("/admin/")
    page.get_by_role("link", name="Engines").last.click()
    expect(page.get_by_text("It may take up to half a minute.")).to_be_visible()
    page.evaluate(COUNT)
    page.get_by_role("button", name="Test the connection").click()
    running = page.get_by_role("button", name="Testing…")
    expect(running).to_be_disabled()
    running.click(force=True)
    assert page.evaluate("sent") == 1
