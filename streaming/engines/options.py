"""What the declared options of an engine mean: the type of a value, how it is typed, and how it is told. Pure.

For the engines, the form, the command and the job's page, so that all of them mean the same by an `Option`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from streaming.engines.base import EngineError, Option

YES, NO = ("true", "on", "yes", "1"), ("", "false", "off", "no", "0")
TEXT_CHARACTERS = 200
LISTED_CHOICES = 20  # more would make no sentence


def shown(value: object) -> str:
    """Return what was given as a sentence can quote it, however long it is."""
    text = str(value)
    return text if len(text) <= 40 else f"{text[:40]}…"


def refuse(sentence: str) -> EngineError:
    return EngineError(sentence, permanent=True)


def typed(declared: Iterable[Option], options: Mapping[str, Any], engine: str) -> dict[str, Any]:
    """Return those options that are set. Raises `EngineError` for a name or a type that can't be.

    False, an empty text and an empty list are not set. `options` may hold anything that JSON can.
    """
    known = {option.name: option for option in declared}
    for name, value in options.items():
        if name not in known:
            raise refuse(f"The engine “{engine}” has no option “{shown(name)}”.")
        if wrong := wrong_type(known[name], value):
            raise refuse(wrong)
    return {name: value for name, value in options.items() if value}


def wrong_type(option: Option, value: Any) -> str:
    """Return what is wrong with a value as a sentence; empty: nothing."""
    name, choices = option.name, option.choices
    if option.kind == "flag":
        return "" if isinstance(value, bool) else f"`{name}` is true or false."
    if option.kind in ("names", "choices"):
        if not isinstance(value, list) or not all(isinstance(part, str) and part for part in value):
            return f"`{name}` must be a list of strings."
        twice = next((part for part in value if value.count(part) > 1), None) if len(value) <= 100 else None
        if len(value) > 100 or twice is not None:
            return f"`{name}` has “{shown(twice)}” twice." if twice else f"`{name}` has too many entries."
        strange = [part for part in value if len(part) > TEXT_CHARACTERS or (choices and part not in choices)]
    elif not isinstance(value, str):
        return f"`{name}` must be a string."
    else:
        strange = [value] if len(value) > TEXT_CHARACTERS or (choices and value and value not in choices) else []
    if strange and len(choices) <= LISTED_CHOICES and choices:
        return f"`{name}` can't be “{shown(strange[0])}”. It can be: {', '.join(choices)}."
    return f"`{name}` can't be “{shown(strange[0])}”." if strange else ""


def parse(option: Option, text: str) -> Any:
    """Return the value that was typed. Raises `EngineError`; whether it can be, the engine's check says."""
    if option.kind == "flag":
        if text.lower() not in YES + NO:
            raise refuse(f"{option.name} is on or off, not “{shown(text)}”.")
        return text.lower() in YES
    if option.kind in ("names", "choices"):
        return parts([text])
    return text.strip()


def parts(texts: Iterable[str]) -> list[str]:
    """Return the parts of texts that are separated by commas."""
    return [part.strip() for text in texts for part in text.split(",") if part.strip()]


def in_words(declared: Iterable[Option], options: Mapping[str, Any]) -> list[str]:
    """Return what these options do, each in words: “Identify speakers”, “Vocabulary: surgery”."""
    told = []
    for option in declared:
        value = options.get(option.name)
        if not value or wrong_type(option, value):
            continue  # not set, or of a time when the engine had other options
        if option.kind == "flag" or (option.kind == "choice" and len(option.choices) == 1):
            told.append(option.label)
        else:
            values = value if isinstance(value, list) else [value]
            told.append(f"{option.label}: {' / '.join(option.choices.get(one, one) for one in values)}")
    return told
