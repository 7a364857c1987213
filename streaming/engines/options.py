"""Checks, parses and describes the values of an engine's declared options (`Option`), without side effects.

The engines, the form, the command and the job's page call this module, so that all of them treat an option alike.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from streaming.engines.base import EngineError, Option

YES, NO = ("true", "on", "yes", "1"), ("", "false", "off", "no", "0")
TEXT_CHARACTERS = 200
LISTED_CHOICES = 20  # an error message lists the allowed values only if there are no more than this


def abbreviated(value: object) -> str:
    """Return a user's value as text, cut to 40 characters so that an error message can quote it."""
    text = str(value)
    return text if len(text) <= 40 else f"{text[:40]}…"


def invalid(sentence: str) -> EngineError:
    """Return the error for an invalid option. It is permanent, because the same options fail again."""
    return EngineError(sentence, permanent=True)


def validated(declared: Iterable[Option], options: Mapping[str, Any], engine: str) -> dict[str, Any]:
    """Return the options that are set. Raises `EngineError` for an unknown name or a value of the wrong type.

    False, "" and an empty list count as not set. `options` may contain any JSON value, because clients send it.
    """
    known = {option.name: option for option in declared}
    for name, value in options.items():
        if name not in known:
            raise invalid(f"The engine “{engine}” has no option “{abbreviated(name)}”.")
        if wrong := problem_of(known[name], value):
            raise invalid(wrong)
    return {name: value for name, value in options.items() if value}


def problem_of(option: Option, value: Any) -> str:
    """Return a sentence with the reason why a value is invalid, or "" if it is valid."""
    name, choices = option.name, option.choices
    if option.kind == "flag":
        return "" if isinstance(value, bool) else f"`{name}` must be true or false."
    if option.kind in ("names", "choices"):
        if not isinstance(value, list) or not all(isinstance(part, str) and part for part in value):
            return f"`{name}` must be a list of strings."
        duplicate = next((part for part in value if value.count(part) > 1), None) if len(value) <= 100 else None
        if len(value) > 100 or duplicate is not None:
            return f"`{name}` has “{abbreviated(duplicate)}” twice." if duplicate else f"`{name}` has too many entries."
        invalid_values = [part for part in value if len(part) > TEXT_CHARACTERS or (choices and part not in choices)]
    elif not isinstance(value, str):
        return f"`{name}` must be a string."
    else:
        invalid_values = [value] if len(value) > TEXT_CHARACTERS or (choices and value and value not in choices) else []
    if invalid_values and len(choices) <= LISTED_CHOICES and choices:
        return f"`{name}` can't be “{abbreviated(invalid_values[0])}”. Choose one of: {', '.join(choices)}."
    return f"`{name}` can't be “{abbreviated(invalid_values[0])}”." if invalid_values else ""


def parse(option: Option, text: str) -> Any:
    """Return the value of a text that a user typed for an option of the command.

    Raises `EngineError` if a flag is neither on nor off. The engine's `check` validates all other values.
    """
    if option.kind == "flag":
        if text.lower() not in YES + NO:
            raise invalid(f"{option.name} must be on or off, not “{abbreviated(text)}”.")
        return text.lower() in YES
    if option.kind in ("names", "choices"):
        return split_by_commas([text])
    return text.strip()


def split_by_commas(texts: Iterable[str]) -> list[str]:
    """Return the non-empty parts of `texts`, split at commas."""
    return [part.strip() for text in texts for part in text.split(",") if part.strip()]


def descriptions(declared: Iterable[Option], options: Mapping[str, Any]) -> list[str]:
    """Return a description of each of these options: “Identify speakers”, “Vocabulary: surgery”."""
    described = []
    for option in declared:
        value = options.get(option.name)
        if not value or problem_of(option, value):
            continue  # not set, or stored when the engine declared other options
        if option.kind == "flag" or (option.kind == "choice" and len(option.choices) == 1):
            described.append(option.label)
        else:
            values = value if isinstance(value, list) else [value]
            described.append(f"{option.label}: {' / '.join(option.choices.get(one, one) for one in values)}")
    return described
