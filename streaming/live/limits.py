"""How many sockets each person has open in this process: `consumers.py` asks here before it lets somebody in.

Each costs memory, and looks into the database: nobody shall be able to use up what all share.
"""

from collections import Counter

from django.conf import settings

_sockets: Counter[int] = Counter()  # only of persons who have any


def acquire(person_id: int) -> bool:
    """Count one more socket of a person. Returns False, and counts nothing, if they may have no more."""
    most = settings.TRANSCRIBE_MAX_SOCKETS_A_PERSON
    if most and _sockets[person_id] >= most:
        return False
    _sockets[person_id] += 1
    return True


def release(person_id: int) -> None:
    _sockets[person_id] -= 1
    if not _sockets[person_id]:
        del _sockets[person_id]
