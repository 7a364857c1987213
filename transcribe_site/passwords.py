"""Password hashes, a few at a time: each takes a core for some tenths of a second, on purpose.

A hundred at once would leave the event loop and the pages nothing. The settings name the hasher; `sign_in.py` waits
for a turn before it asks whether an account is locked, so that a burst of guesses is counted one by one.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from uploads.connections import release

# Half of the cores: pages and the event loop need the others.
AT_ONCE = max(1, (os.cpu_count() or 1) // 2)
WAIT_SECONDS = 30.0  # a browser's user has left by then

_slots = threading.BoundedSemaphore(AT_ONCE)
_thread = threading.local()


class TooManyHashes(Exception):
    """No turn within `WAIT_SECONDS`."""


@contextmanager
def turn() -> Iterator[None]:
    """Wait for a turn to hash. A thread that has one gets another at once. Raises `TooManyHashes`."""
    release()  # a hundred that wait, or hash, must not hold all connections of the pool
    if getattr(_thread, "has_turn", False):
        yield
        return
    if not _slots.acquire(timeout=WAIT_SECONDS):
        raise TooManyHashes
    _thread.has_turn = True
    try:
        yield
    finally:
        _thread.has_turn = False
        _slots.release()


class PasswordHasher(PBKDF2PasswordHasher):
    """Django's default hasher."""

    def encode(self, *args: object, **kwargs: object) -> str:
        with turn():
            return super().encode(*args, **kwargs)  # type: ignore[arg-type]
