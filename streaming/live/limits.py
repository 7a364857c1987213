"""Limit the number of sockets that each person has open in this process. Called by `consumers.py`.

Each socket costs memory and database queries, so one person must not be able to exhaust the process for all others.
"""

from collections import Counter

from django.conf import settings

_sockets: Counter[int] = Counter()  # by person id; has no entry for a person without sockets


def acquire(person_id: int) -> bool:
    """Count one more socket of a person. Returns False, without counting it, if the person has reached the limit."""
    most = settings.TRANSCRIBE_MAX_SOCKETS_A_PERSON
    if most and _sockets[person_id] >= most:
        return False
    _sockets[person_id] += 1
    return True


def release(person_id: int) -> None:
    """Count one socket less. Call it once for each `acquire` that returned True."""
    _sockets[person_id] -= 1
    if not _sockets[person_id]:
        del _sockets[person_id]
