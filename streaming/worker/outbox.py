"""What a worker has to send over the channel layer, in order, without the worker waiting for it."""

import asyncio
import logging
from typing import Any

from streaming import publisher

logger = logging.getLogger(__name__)

CAPACITY = 10_000  # messages: while the channel layer is away the oldest are dropped, feeds fetch what they miss


class Outbox:
    def __init__(self) -> None:
        self._messages: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue(CAPACITY)

    def put(self, group: str, message: dict[str, Any]) -> None:
        """Take a message; returns at once, whatever the channel layer does."""
        if self._messages.full():
            self._messages.get_nowait()
        self._messages.put_nowait((group, message))

    async def run(self) -> None:
        """Send, for ever."""
        while True:
            group, message = await self._messages.get()
            await publisher.send(group, message)
