"""What proves that a test of a fault is live: the check in our code without which it fails.

`proofs_of_webs.py`, `proofs_of_security.py` and `proofs_of_workers.py` hold them; `python -m tests.faults.mutate` tries them.
"""

from typing import NamedTuple


class Proof(NamedTuple):
    """`test` is pytest's name for the test; `check` is text that stands once in `file`, `without` what is put there."""

    fault: str
    test: str
    file: str
    check: str
    without: str
