"""The consumer of `/ws/library/?ids=…`: keeps the rows of a page that lists recordings or jobs up to date.

It sends a snapshot of the rows, then the rows as they change. `library_hub.py` finds the changes.
"""

from urllib.parse import parse_qs
from uuid import UUID

from django.contrib.auth.models import User

from streaming import events
from streaming.jobs.lifecycle import JobRefused
from streaming.live.consumers import ViewerConsumer, parse
from streaming.live.library_hub import Listing, get_library

MOST_IDS = 200  # more are ignored; a page lists 30 rows


class LibraryConsumer(ViewerConsumer):
    """Sends a snapshot, then changes. A `sync` message replaces the ids and starts again with a snapshot."""

    async def open(self) -> None:
        given = parse_qs(self.scope["query_string"].decode("latin-1")).get("ids", [""])[0]
        await self._list(ids_in(given))

    async def answer(self, user: User, text: str) -> None:
        message = parse(text)
        if message.get("type") != "sync":
            raise JobRefused("bad_message", "This socket accepts only messages of the type `sync`.")
        ids = message.get("ids")
        if not isinstance(ids, str):
            raise JobRefused("bad_message", "`ids` must be a string: ids of recordings or jobs, separated by commas.")
        await self._list(ids_in(ids))

    async def _list(self, ids: frozenset[UUID]) -> None:
        await self.serve(self._send_rows(Listing(self.session_key, ids, self._evict)))

    async def _send_rows(self, listing: Listing) -> None:
        async with get_library().watch(listing) as snapshot:
            await self._send_events([snapshot])
            while True:
                await self._send_events(await listing.wait())

    async def _send_events(self, listed: list[events.Event]) -> None:
        for event in listed:
            await self.base_send({"type": "websocket.send", "text": events.encode(event)})


def ids_in(text: str) -> frozenset[UUID]:
    """Return the ids among the first `MOST_IDS` parts of a comma-separated text. Skips parts that are not UUIDs."""
    found = []
    for part in text.split(",")[:MOST_IDS]:
        try:
            found.append(UUID(part))
        except ValueError:
            continue
    return frozenset(found)
