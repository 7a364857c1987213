"""Finds an engine's class by its name. Forms, the socket, the queue, the workers and the command call this module.

It imports an engine only when a caller needs it, because the engines' libraries are large.
"""

from importlib import import_module

from django.conf import settings

from streaming.engines.base import Engine, EngineError, Option

ENGINES = {
    "aws": "streaming.engines.aws.engine.AwsEngine",
    "local": "streaming.engines.moonshine.engine.LocalEngine",
    "scripted": "streaming.engines.scripted.ScriptedEngine",
}


def engine_class(name: str) -> type[Engine]:
    """Return the class of the engine `name`. Raises `EngineError` unless TRANSCRIBE_ENGINES lists it."""
    if name not in settings.TRANSCRIBE_ENGINES:
        known = ", ".join(settings.TRANSCRIBE_ENGINES)
        raise EngineError(f"This site has no engine “{name}”. Choose one of: {known}.", permanent=True)
    module, attribute = ENGINES[name].rsplit(".", 1)
    found: type[Engine] = getattr(import_module(module), attribute)
    return found


def engine_classes() -> list[type[Engine]]:
    """Return the classes of the engines in TRANSCRIBE_ENGINES, including those whose settings are missing."""
    return [engine_class(name) for name in settings.TRANSCRIBE_ENGINES]


def declared_options(name: str) -> tuple[Option, ...]:
    """Return the options of an engine. Returns () for an engine that the site no longer has: old jobs may name it."""
    return engine_class(name).options if name in settings.TRANSCRIBE_ENGINES else ()
