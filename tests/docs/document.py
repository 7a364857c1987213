"""Reads the commands of docs/operations.md, so that tests run them exactly as they are written there."""

import re
from pathlib import Path

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


def commands(heading: str) -> list[str]:
    """Return the shell blocks of the section with this heading, up to the next heading of any level."""
    _, found, rest = OPERATIONS.read_text().partition(f"# {heading}\n")
    assert found, f"docs/operations.md has no section {heading!r}"
    section = re.split(r"^#+ ", rest, maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
