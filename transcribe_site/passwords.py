"""Limits concurrent password hashes. Each occupies a core for some tenths of a second, by design.

Without a limit, a hundred concurrent sign-ins would stall the event loop and the pages. `settings.py` names the hasher.
A thread holds a slot only while it hashes: a sign-in that waits for the database must not block other hashes.
"""

import os
import threading

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from uploads.db_connections import release

# Half of the cores. Pages and the event loop need the others.
MAX_HASHES = max(1, (os.cpu_count() or 1) // 2)
WAIT_SECONDS = 30.0  # a longer wait would exceed the patience of users

_slots = threading.BoundedSemaphore(MAX_HASHES)


class TooManyHashes(Exception):
    """No slot was free within `WAIT_SECONDS`."""


class PasswordHasher(PBKDF2PasswordHasher):
    """Django's default hasher. Waits for a slot; raises `TooManyHashes`."""

    def encode(self, *args: object, **kwargs: object) -> str:
        release()  # waiting threads must not hold all database connections of the pool
        if not _slots.acquire(timeout=WAIT_SECONDS):
            raise TooManyHashes
        try:
            return super().encode(*args, **kwargs)  # type: ignore[arg-type]
        finally:
            _slots.release()
