"""What a person can choose for Amazon Transcribe, what it costs, and what goes with what."""

from collections.abc import Mapping
from typing import Any

from streaming.engines.base import Option, Quote

LANGUAGES: Mapping[str, str] = {"en-US": "English, US"}
OPTIONS: tuple[Option, ...] = ()


def identifies_language(options: Mapping[str, Any]) -> bool:
    return bool(options.get("identify_language") or options.get("identify_multiple_languages"))


def check(language_code: str, options: Mapping[str, Any], channels: int) -> None:
    """Raise `EngineError` with a sentence for a mix that the service would refuse."""


def parameters(language_code: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of the SDK's `start_stream_transcription` for these."""
    return {"language_code": language_code or None}


def quote(duration: float, options: Mapping[str, Any], region: str, pace: float) -> Quote:
    return Quote(seconds=duration / pace, place=region)
