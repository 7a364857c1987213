"""Faults between viewers, uploads and the web processes: each with its test, and the check it watches."""

from tests.faults.proof import Proof

PROOFS: list[Proof] = []
