"""The recording that somebody without one can try: real speech from the recogniser's package."""

from importlib.resources import files
from pathlib import Path

SAMPLE = "two_cities.wav"
SAMPLE_NAME = "Sample: A Tale of Two Cities.wav"


def sample_path() -> Path | None:
    """Return the recording's path, or None where the package does not carry it."""
    path = Path(str(files("moonshine_voice"))) / "assets" / SAMPLE
    return path if path.exists() else None
