"""How many connections the server keeps, in all and from one address. `http.py` reports what happens to each.

A connection that waits for its client (for a request, or for the rest of one) can be closed without a loss: browsers
and proxies open another. So a new connection is accepted as long as an older one waits, and an attacker with any number
of idle connections locks nobody out. Connections of signed-in people with a request or socket in progress stay.
"""

import resource
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

WANTED_DESCRIPTORS = 65_536
OTHER_DESCRIPTORS = 256  # at least, for files, databases, decoders and connections that are being closed
ADDRESS_CONNECTIONS = 200  # from one address, without a signed-in person; a browser opens six


def raise_descriptor_limit() -> int:
    """Raise the soft limit of descriptors as far as the system allows. Returns how many connections leave enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(WANTED_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    descriptors = WANTED_DESCRIPTORS if soft == resource.RLIM_INFINITY else min(soft, WANTED_DESCRIPTORS)
    return max(descriptors // 2, descriptors - max(OTHER_DESCRIPTORS, descriptors // 4))


@dataclass(eq=False)
class Seat:
    """One connection. `address` is None between requests of a proxy; `is_extra`: it was accepted from the reserve."""

    transport: Any = None
    address: str | None = None
    is_extra: bool = False
    is_signed_in: bool = False
    is_open: bool = True


@dataclass
class Connections:
    """All connections of the server, `most` at once; a quarter of them are for signed-in people and health checks."""

    most: int
    _seats: set[Seat] = field(default_factory=set)
    _waiting: dict[Seat, None] = field(default_factory=dict)  # the longest waiting first
    _anonymous: Counter[str | None] = field(default_factory=Counter)
    _all: Counter[str | None] = field(default_factory=Counter)

    def open(self, address: str | None) -> Seat | None:
        """Return the seat of a new connection, which waits for its first request, or None where there is no room."""
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

    def name(self, seat: Seat, address: str) -> bool:
        """Note the client's address of a proxy's request. Returns False where that address has too many."""
        if seat.address == address:
            return True
        if not self._has_room_for(address):
            return False
        self._count(seat, -1)
        seat.address = address
        self._count(seat, 1)
        return True

    def works(self, seat: Seat) -> None:
        """Note that a whole request has arrived: the connection is not closed until it is answered."""
        self._waiting.pop(seat, None)

    def sign_in(self, seat: Seat) -> None:
        """Note that the request or socket in progress is that of a signed-in person."""
        if seat.is_open and not seat.is_signed_in:
            self.works(seat)
            self._count(seat, -1)
            seat.is_signed_in = True
            self._count(seat, 1)

    def waits(self, seat: Seat, address: str | None) -> None:
        """Note that the request was answered; `address` is that of the connection, None for a proxy's."""
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
        """Close the connection that has waited longest, of an address if one is given. Returns whether one did."""
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
