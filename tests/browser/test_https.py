"""Chromium at a site behind a TLS proxy, with https origins only: the site accepts its forms and sockets."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, expect

from tests import recordings
from tests.browser.conftest import JOB_TIMEOUT, PATIENCE_MS
from tests.site import Site
from tests.tls import TLSProxy

pytestmark = pytest.mark.chromium("its subject is the server")


def test_a_user_signs_in_uploads_and_watches_a_job_behind_tls(browser: Browser, new_site: Callable[..., Site]) -> None:
    with TLSProxy() as proxy:
        site = new_site(CSRF_TRUSTED_ORIGINS=proxy.url)
        site.start()
        host, _, port = site.url.removeprefix("http://").partition(":")
        proxy.to = (host, int(port))
        context = browser.new_context(base_url=proxy.url, ignore_https_errors=True)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        sockets: list[str] = []
        page.on("websocket", lambda socket: sockets.append(socket.url))
        page.goto("/accounts/login/")
        page.get_by_label("Username").fill("admin")
        page.get_by_label("Password").fill("wonderland")
        page.get_by_role("button", name="Sign in").click()
        page.locator("input[type=file]").set_input_files(recordings.speech("beckett"))
        page.get_by_role("button", name="Transcribe", exact=True).click()
        expect(page.get_by_text("Done").first).to_be_visible(timeout=JOB_TIMEOUT)
        job = page.url.rsplit("/jobs/")[1]
        assert f"{proxy.url.replace('https', 'wss', 1)}/ws/jobs/{job}" in [url.partition("?")[0] for url in sockets]
        context.close()
