"""Limits the connections of the server, in total and for each address. `http.py` reports their events.

Closing a connection that waits for (the rest of) a request loses nothing: browsers and proxies open another. So the
server accepts a new connection by evicting the one that has waited longest, and an attacker with any number of idle
connections locks out no other client. Connections with a request or socket of a signed-in user are never evicted.
"""

import resource
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

WANTED_DESCRIPTORS = 65_536
OTHER_DESCRIPTORS = 256  # minimum reserve for files, databases, decoders and closing connections
ADDRESS_CONNECTIONS = 200  # anonymous, from one address; a browser opens six


def raise_descriptor_limit() -> int:
    """Raise the soft limit of file descriptors as far as allowed. Returns how many connections leave enough free."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(WANTED_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    descriptors = WANTED_DESCRIPTORS if soft == resource.RLIM_INFINITY else min(soft, WANTED_DESCRIPTORS)
    return max(descriptors // 2, descriptors - max(OTHER_DESCRIPTORS, descriptors // 4))


@dataclass(eq=False)
class Seat:
    """One connection. `address` is None between requests of a proxy; `is_extra`: it uses the reserve."""

    transport: Any = None
    address: str | None = None
    is_extra: bool = False
    is_signed_in: bool = False
    is_open: bool = True


@dataclass
class Connections:
    """The open connections, at most `most`. A quarter is reserved for signed-in users and health checks."""

    most: int
    _seats: set[Seat] = field(default_factory=set)
    _waiting: dict[Seat, None] = field(default_factory=dict)  # ordered by the start of the wait
    _anonymous: Counter[str | None] = field(default_factory=Counter)
    _all: Counter[str | None] = field(default_factory=Counter)

    def open(self, address: str | None) -> Seat | None:
        """Return the seat of a new connection, which waits for its first request, or None if the server is full."""
        if len(self._seats) >= self.most and not self._evict():
            return None
        if address is not None and not self._has_room_for(address):
            return None
        seat = Seat(address=address)
        if self._anonymous.total() >= self.most - self.most // 4 and not self._evict():
            seat.is_extra = True
        self._seats.add(seat)
        self._waiting[seat] = None
        self._count(seat, 1)
        return seat

    def set_address(self, seat: Seat, address: str) -> bool:
        """Record the client's address of a proxy's request. Returns False if that address has too many connections."""
        if seat.address == address:
            return True
        if not self._has_room_for(address):
            return False
        self._count(seat, -1)
        seat.address = address
        self._count(seat, 1)
        return True

    def begin_request(self, seat: Seat) -> None:
        """Record that a complete request has arrived: the connection is not evicted until the answer is sent."""
        self._waiting.pop(seat, None)

    def sign_in(self, seat: Seat) -> None:
        """Record that the request or socket in progress belongs to a signed-in user."""
        if seat.is_open and not seat.is_signed_in:
            self.begin_request(seat)
            self._count(seat, -1)
            seat.is_signed_in = True
            self._count(seat, 1)

    def end_request(self, seat: Seat, address: str | None) -> None:
        """Record that the request was answered. `address` is the connection's, or None for a proxy."""
        if seat.is_open:
            self._count(seat, -1)
            seat.is_signed_in, seat.is_extra, seat.address = False, False, address
            self._count(seat, 1)
            self._waiting[seat] = None

    def close(self, seat: Seat) -> None:
        if seat.is_open:
            seat.is_open = False
            self._count(seat, -1)
            self._seats.discard(seat)
            self._waiting.pop(seat, None)

    def _has_room_for(self, address: str) -> bool:
        if self._all[address] >= self.most // 2 and not self._evict(address):
            return False
        return self._anonymous[address] < ADDRESS_CONNECTIONS or self._evict(address)

    def _evict(self, address: str | None = None) -> bool:
        """Close the connection that has waited longest, of `address` if given. Returns False if none waits."""
        waiting = (seat for seat in self._waiting if address is None or seat.address == address)
        longest = next(waiting, None)
        if longest is None:
            return False
        self.close(longest)
        if longest.transport is not None:
            longest.transport.abortConnection()
        return True

    def _count(self, seat: Seat, by: int) -> None:
        for counter in (self._all,) if seat.is_signed_in else (self._all, self._anonymous):
            counter[seat.address] += by
            if not counter[seat.address]:
                del counter[seat.address]
