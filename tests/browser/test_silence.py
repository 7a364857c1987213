"""A page with a silent connection: it sends a request, waits for the answer, and reconnects."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests import recordings
from tests.browser.stage import Stage
from tests.site import Site, wait_until
from tests.visitor import Visitor

pytestmark = pytest.mark.chromium("it watches WebSockets")

QUIET_MS, ANSWER_MS, LONGEST_WAIT_MS = 25_000, 10_000, 500  # the constants of job.js and socket.js


@pytest.fixture(scope="module")
def site(still_site: Site) -> Site:
    return still_site


class Silent(Stage):
    """Sends a snapshot on each connection, and answers no message."""

    def _connect(self, socket: WebSocketRoute) -> None:
        self.asked: list[Any] = []
        self.connections = getattr(self, "connections", 0) + 1
        socket.on_message(lambda message: self.asked.append(message))
        super()._connect(socket)


def test_a_page_probes_a_silent_socket_and_reconnects_without_an_answer(
    new_page: Callable[..., Page], visitor: Visitor
) -> None:
    page = new_page()
    page.clock.install(time=1_000_000)
    page.clock.pause_at(1_001_000)
    stage = Silent(page, visitor.start(visitor.upload(recordings.tone(1.0))))
    stage.open()
    stage.final(0.0, "It was the best of times.")
    expect(page.locator("#s1")).to_be_attached()
    page.clock.run_for(QUIET_MS)
    wait_until(lambda: [page.title(), *stage.asked][1:], what="the question")  # Playwright sends events during calls
    assert stage.asked == ['{"type":"sync","after":1}']
    page.clock.run_for(ANSWER_MS)
    expect(page.get_by_text("Reconnecting…")).to_be_visible()
    page.clock.run_for(LONGEST_WAIT_MS)
    expect(page.get_by_text("Reconnecting…")).to_be_hidden()
    assert stage.connections == 2
