"""A browser at a served site, signed in, that tells of every error on its console."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from tests.site import Site
from tests.visitor import Visitor

PATIENCE_MS = 60_000  # for what ought to happen at once, on a machine that is busy
expect.set_options(timeout=PATIENCE_MS)
JOB_TIMEOUT = 150_000


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, or another that is there.

    It goes with the last test of this folder: while it is there, an event loop runs, and tests that are coroutines
    can't have one of theirs.
    """
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert program, "The browser tests need Chromium: install it (on Debian: apt install chromium)."
    quiet = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"]
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=[*quiet, "--disable-sync", *root], timeout=2 * PATIENCE_MS
        )
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
