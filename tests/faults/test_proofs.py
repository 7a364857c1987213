"""The proofs speak of checks and tests that are there; `make mutations` tries them."""

import re

import pytest

from tests.faults.mutate import PROOFS, ROOT, table
from tests.faults.proof import Proof


@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.test)
def test_what_a_proof_names_is_there(proof: Proof) -> None:
    assert (ROOT / proof.file).read_text().count(proof.check) == 1
    file, *_, name = proof.test.partition("[")[0].split("::")
    assert re.search(rf"def {name}\b", (ROOT / file).read_text())


def test_the_document_lists_every_proof() -> None:
    assert (ROOT / "docs" / "faults.md").read_text().endswith(f"\n\n{table()}"), "python -m tests.faults.mutate --list"
