"""A job's page with a simulated socket: the test sends each message of the server. Used by tests of the job page."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Page, WebSocketRoute, expect

RUN = {
    "status": "running",
    "position": 0.0,
    "duration": 600.0,
    "failure_reason": "",
    "segments": 0,
    "started_at": "2026-01-02T03:04:05.000006+00:00",
    "finished_at": None,
}


@dataclass
class Stage:
    """Opens the page of a stored job and answers its socket: the page shows a simulated job that has just started."""

    page: Page
    id: str
    job: dict[str, Any] = field(default_factory=RUN.copy)
    seq: int = 0
    socket: WebSocketRoute | None = None

    def open(self) -> "Stage":
        self.job |= {"id": self.id, "upload": self.id, "engine": "local", "language_code": "en", "created_at": None}
        self.page.route_web_socket(re.compile("/ws/jobs/"), self._connect)
        self.page.goto(f"/jobs/{self.id}/")
        expect(self.page.locator(f".state[data-status={self.job['status']}]")).to_be_visible()
        return self

    def _connect(self, socket: WebSocketRoute) -> None:
        self.socket = socket
        self.snapshot()

    def send(self, type: str, **rest: Any) -> None:
        assert self.socket is not None
        self.socket.send(json.dumps({"type": type, **rest}))

    def snapshot(self, *partials: dict[str, Any], **changes: Any) -> None:
        self.job |= changes
        self.send("snapshot", job=self.job, segments=[], partials=[*partials], seq=self.seq)

    def status(self, **changes: Any) -> None:
        self.job |= changes
        self.send("status", job=self.job)

    def partial(self, start: float, text: str, slot: str = "0") -> None:
        self.send("partial", slot=slot, start_time=start, end_time=start + 2, text=text)

    def final(self, start: float, text: str, slot: str = "0") -> None:
        self.seq += 1
        segment = {"seq": self.seq, "start_time": start, "end_time": start + 2, "text": text, "words": []}
        self.send("final", seq=self.seq, slot=slot, segment=segment)

    def finals(self, count: int) -> None:
        """Send `count` more finals, and wait until the page has the last of them."""
        for _ in range(count):
            self.final(self.seq * 4.0, f"Line {self.seq + 1}. {'It was the best of times. ' * 6}")
        expect(self.page.locator(f"#s{self.seq}")).to_be_attached()
