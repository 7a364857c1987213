"""What proves that a test of a fault is live: the check in our code without which it fails.

The modules `proofs_of_….py` hold them; `python -m tests.faults.mutate` tries them.
"""

from typing import NamedTuple


class Proof(NamedTuple):
    """`test` is pytest's name for the test; `check` is text that stands once in `file`, `without` what is put there."""

    fault: str
    test: str
    file: str
    check: str
    without: str
