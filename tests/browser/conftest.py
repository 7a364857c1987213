"""A browser at a served site, signed in, that tells of every error on its console."""

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

PATIENCE_MS = 60_000  # for what ought to happen at once, on a machine that is busy
expect.set_options(timeout=PATIENCE_MS)
JOB_TIMEOUT = 150_000


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that are marked for the other browser: `chromium` or `firefox`, with the reason."""
    other = "chromium" if IS_FIREFOX else "firefox"
    config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker(other)])
    items[:] = [item for item in items if not item.get_closest_marker(other)]


@pytest.fixture(scope="package")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium, or Firefox where TEST_BROWSER=firefox.

    It goes with the last test of this folder: while it is there, an event loop runs, and tests that are coroutines
    can't have one of theirs.
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
    """Return a browser's context that is signed in as `admin`."""
    context = browser.new_context(base_url=site.url, **options)
    with Visitor(site) as visitor:
        cookies = [{"name": name, "value": value, "url": site.url} for name, value in visitor.http.cookies.items()]
    context.add_cookies(cookies)  # type: ignore[arg-type]
    return context


@pytest.fixture
def new_page(browser: Browser, site: Site) -> Iterator[Callable[..., Page]]:
    """Opens pages, each in a context of its own. Errors on a console fail the test, unless `tells_errors` is False."""
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


@pytest.fixture
def visitor(site: Site) -> Iterator[Visitor]:
    with Visitor(site) as visitor:
        yield visitor


@pytest.fixture(scope="session")
def shared_site(prepared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Site]]:
    """Starts sites that several tests share, each of which looks only at what is its own."""
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
    """Its jobs stay queued: for tests that play what a job or a server does. A file takes it as its `site`."""
    return shared_site(TRANSCRIBE_RUN_JOBS="0")
