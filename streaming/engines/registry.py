"""The engines by name. Each is imported when it is asked for: its libraries are large."""

from importlib import import_module

from django.conf import settings

from streaming.engines.base import Engine, EngineError, Option

ENGINES = {
    "aws": "streaming.engines.aws.engine.AwsEngine",
    "local": "streaming.engines.moonshine.engine.LocalEngine",
    "scripted": "streaming.engines.scripted.ScriptedEngine",
}


def engine_class(name: str) -> type[Engine]:
    """Return the engine of that name. Raises `EngineError` if this site has none."""
    if name not in settings.TRANSCRIBE_ENGINES:
        known = ", ".join(settings.TRANSCRIBE_ENGINES)
        raise EngineError(f"There is no engine “{name}” here. There are: {known}.", permanent=True)
    module, attribute = ENGINES[name].rsplit(".", 1)
    found: type[Engine] = getattr(import_module(module), attribute)
    return found


def engine_classes() -> list[type[Engine]]:
    """Return the engines of this site, whether or not they are set up."""
    return [engine_class(name) for name in settings.TRANSCRIBE_ENGINES]


def declared_options(name: str) -> tuple[Option, ...]:
    """Return the options of an engine; none of one that this site no longer has."""
    return engine_class(name).options if name in settings.TRANSCRIBE_ENGINES else ()
