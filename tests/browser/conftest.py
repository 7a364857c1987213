"""Fixtures of the browser tests: a browser, a served site, and signed-in pages that fail on console errors."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from tests.browser import engines
from tests.browser.engines import IS_FIREFOX
from tests.site import Site
from tests.visitor import Visitor

PATIENCE_MS = 60_000  # for an event that should happen at once; a busy machine needs longer
expect.set_options(timeout=PATIENCE_MS)
JOB_TIMEOUT = 150_000


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests with the marker of the other browser (`chromium` or `firefox`; its argument is the reason)."""
    other = "chromium" if IS_FIREFOX else "firefox"
    config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker(other)])
    items[:] = [item for item in items if not item.get_closest_marker(other)]


@pytest.fixture(scope="package")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Yield Chromium, or Firefox if TEST_BROWSER=firefox. Closes it after the last test of this folder.

    While Playwright is open, an event loop runs in the thread, and tests that are coroutines can't start their own.
    """
    with ExitStack() as stack:
        playwright = stack.enter_context(sync_playwright())
        if IS_FIREFOX:
            folder = tmp_path_factory.mktemp("firefox")
            browser = engines.firefox(playwright.firefox, folder, stack.enter_context(engines.null_sink(folder)))
        else:
            browser = engines.chromium(playwright.chromium)
        yield browser
        browser.close()


def open_context(browser: Browser, site: Site, **options: Any) -> BrowserContext:
    """Return a new context of the browser that is signed in as `admin`."""
    context = browser.new_context(base_url=site.url, **options)
    with Visitor(site) as visitor:
        cookies = [{"name": name, "value": value, "url": site.url} for name, value in visitor.http.cookies.items()]
    context.add_cookies(cookies)  # type: ignore[arg-type]
    return context


@pytest.fixture
def new_page(browser: Browser, site: Site) -> Iterator[Callable[..., Page]]:
    """Yield a function that opens a page in a new context. Console errors fail the test if `tells_errors` is True."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            errors.append(f"{message.text} {message.location}")

    def new_page(*, tells_errors: bool = True, **options: Any) -> Page:
        contexts.append(open_context(browser, site, **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE_MS)
        if tells_errors:
            page.on("console", note)
            page.on("pageerror", lambda error: errors.append(str(error)))
        return page

    yield new_page
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture(scope="session")
def shared_site(prepared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Site]]:
    """Yield a function that starts a site for several tests. Each test must read only the rows that it created."""
    sites = []

    def shared_site(**environment: str) -> Site:
        sites.append(Site(tmp_path_factory.mktemp("shared") / "site", environment))
        shutil.copytree(prepared_folder, sites[-1].folder)
        sites[-1].start()
        return sites[-1]

    yield shared_site
    for site in sites:
        site.kill()


@pytest.fixture(scope="session")
def still_site(shared_site: Callable[..., Site]) -> Site:
    """Return a site that runs no jobs, for tests that simulate a job or a server. A module returns it as its `site`."""
    return shared_site(TRANSCRIBE_RUN_JOBS="0")
