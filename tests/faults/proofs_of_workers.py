"""Faults of workers, Redis, the database, the disk and the service: each with its test, and the check it watches."""

from tests.faults.proof import Proof

PROOFS: list[Proof] = []
