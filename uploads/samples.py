"""Finds the sample recording, for people who want to try the site without a recording of their own.

It is real speech from the package of the built-in recogniser.
"""

from importlib.resources import files
from pathlib import Path

SAMPLE = "two_cities.wav"
SAMPLE_NAME = "Sample: A Tale of Two Cities.wav"


def sample_path() -> Path | None:
    """Return the path of the sample, or None if the installed package does not contain it."""
    path = Path(str(files("moonshine_voice"))) / "assets" / SAMPLE
    return path if path.exists() else None
