"""Viewers for rounds of faults: they reconnect until the job ends, and check the events against the protocol."""

import asyncio
import json
import random
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.faults.cluster import Cluster

ENDED = ("completed", "failed", "cancelled")


class Viewer:
    """Watches a job through randomly chosen web processes until the job has ended.

    `wrong` collects violations of the protocol, and `cuts` counts closed connections.
    """

    def __init__(self, cluster: Cluster, session: str, job: str, chance: random.Random) -> None:
        self._cluster = cluster
        self._session = session
        self._job_id = job
        self._chance = chance
        self._seq = 0
        self.finals: dict[int, dict[str, Any]] = {}
        self.status = ""
        self.cuts = 0
        self.wrong: list[str] = []

    async def watch(self) -> None:
        while self.status not in ENDED:
            web = self._chance.choice(self._cluster.webs)
            url = f"{web.url.replace('http', 'ws', 1)}/ws/jobs/{self._job_id}/?after={self._seq}"
            headers = {"Cookie": f"sessionid={self._session}"}
            try:
                async with (
                    asyncio.timeout(self._chance.uniform(1.0, 10.0)),  # then the viewer disconnects and reconnects
                    connect(url, additional_headers=headers, origin=web.url, max_size=None) as socket,  # type: ignore[arg-type]
                ):
                    async for message in socket:
                        self._apply(json.loads(message))
                        if self.status in ENDED:
                            return
            except (TimeoutError, OSError, ConnectionClosed, InvalidHandshake):
                self.cuts += 1
            await asyncio.sleep(self._chance.uniform(0.0, 0.5))

    def _apply(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "snapshot":
                for segment in event["segments"]:
                    self._final(segment["seq"], segment)
                if event["seq"] < self._seq:
                    self.wrong.append(f"a snapshot went back from {self._seq} to {event['seq']}")
                self._seq = event["seq"]
                self.status = event["job"]["status"]
            case "final":
                if event["seq"] != self._seq + 1:
                    self.wrong.append(f"final {event['seq']} came after {self._seq}")
                self._seq = event["seq"]
                self._final(event["seq"], event["segment"])
            case "status":
                self.status = event["job"]["status"]
            case "error":
                self.wrong.append(event["message"])

    def _final(self, seq: int, segment: dict[str, Any]) -> None:
        if self.finals.setdefault(seq, segment) != segment:
            self.wrong.append(f"final {seq} changed")
