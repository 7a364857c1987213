"""Password hashes, a few at a time: each takes a core for some tenths of a second, on purpose.

A hundred at once would leave the event loop and the pages nothing. The settings name the hasher. A thread has a turn
for the hash alone: a sign-in that waits for the database must not keep others from hashing.
"""

import os
import threading

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from uploads.db_connections import release

# Half of the cores: pages and the event loop need the others.
AT_ONCE = max(1, (os.cpu_count() or 1) // 2)
WAIT_SECONDS = 30.0  # a browser's user has left by then

_slots = threading.BoundedSemaphore(AT_ONCE)


class TooManyHashes(Exception):
    """No turn within `WAIT_SECONDS`."""


class PasswordHasher(PBKDF2PasswordHasher):
    """Django's default hasher. Waits for a turn; raises `TooManyHashes`."""

    def encode(self, *args: object, **kwargs: object) -> str:
        release()  # a hundred that wait, or hash, must not hold all connections of the pool
        if not _slots.acquire(timeout=WAIT_SECONDS):
            raise TooManyHashes
        try:
            return super().encode(*args, **kwargs)  # type: ignore[arg-type]
        finally:
            _slots.release()
