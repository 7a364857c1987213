"""Every page, light and dark, wide and narrow: axe finds nothing serious, the console stays empty, no overflow."""

import sqlite3
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests import recordings
from tests.browser.conftest import JOB_TIMEOUT
from tests.site import Site, wait_until
from tests.visitor import Visitor, rows, status

pytestmark = pytest.mark.chromium("axe judges the markup, which is the same")

NewPage = Callable[..., Page]
SERIOUS = ("serious", "critical")


def set_status(site: Site, job: str, status: str, reason: str = "") -> None:
    """Change the status of a job that has ended, as a failure or a cancel would."""
    database = sqlite3.connect(site.folder / "db.sqlite3", timeout=20)
    with database:
        database.execute(
            "update streaming_job set status = ?, failure_reason = ? where id = ?",
            (status, reason, job.replace("-", "")),
        )
    database.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_every_page_is_accessible_and_fits_the_window(
    new_page: NewPage, site: Site, visitor: Visitor, scheme: str, width: int
) -> None:
    page = new_page(color_scheme=scheme, viewport={"width": width, "height": 800})
    look(page, "/")
    look(page, "/jobs/")
    upload = visitor.upload(recordings.speech("beckett"))
    look(page, f"/uploads/{upload}/")
    job = visitor.start(upload)
    wait_until(lambda: status(site) == "completed", JOB_TIMEOUT / 1000, "the end of the job")
    for address in (f"/jobs/{job}/", "/", "/jobs/", "/jobs/?status=failed", f"/uploads/{upload}/"):
        look(page, address)
    for state, reason in (("failed", "The recogniser ended unexpectedly."), ("cancelled", ""), ("completed", "")):
        set_status(site, job, state, reason)
        look(page, f"/jobs/{job}/")
    look(page, "/accounts/password/")
    page.context.clear_cookies()
    look(page, "/accounts/login/")
    assert rows(site, "select count(*) from streaming_job") == [(1,)]


def look(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator("main")).to_be_visible()
    found = [
        (violation["id"], [node["html"][:200] for node in violation["nodes"]])
        for violation in Axe().run(page).response["violations"]
        if violation["impact"] in SERIOUS
    ]
    assert found == [], address
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0, address
