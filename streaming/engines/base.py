"""The seam between the jobs and whatever turns sound into words. An engine never knows who watches."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from streaming.audio import Spool
from streaming.transcripts import Result


class EngineError(Exception):
    """The one exception that leaves an engine.

    `message` is a sentence that a person can act on. A `permanent` failure would come again; after any other
    the job goes on from its last final.
    """

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


@dataclass(frozen=True)
class Request:
    """What is asked of an engine: from `start_time` (seconds) to the end of the recording."""

    language_code: str
    options: Mapping[str, Any] = field(default_factory=dict)
    start_time: float = 0.0


class Engine(ABC):
    """Turns a spool into results. One instance serves all jobs of a worker."""

    name: ClassVar[str]
    label: ClassVar[str]
    languages: ClassVar[Mapping[str, str]]  # code → what people call it; the first is the default

    @classmethod
    def check(cls, language_code: str, options: Mapping[str, Any]) -> None:
        """Raise `EngineError` with a sentence if a job with these cannot be started."""
        if language_code not in cls.languages:
            known = ", ".join(cls.languages)
            raise EngineError(
                f"The engine “{cls.label}” does not know the language “{language_code}”. It knows: {known}.",
                permanent=True,
            )
        if options:
            raise EngineError(f"The engine “{cls.label}” has no option “{next(iter(options))}”.", permanent=True)

    @abstractmethod
    def transcribe(self, audio: Spool, request: Request) -> AsyncGenerator[Result, None]:
        """Yield partials and finals, finals of a slot in order of time. Raises `EngineError`.

        Closing the generator ends the work and frees what it held.
        """

    async def warm_up(self) -> None:  # noqa: B027 most engines have nothing to prepare
        """Make the first words of the next job come sooner. Called when a worker starts."""

    async def aclose(self) -> None:  # noqa: B027 most engines hold nothing
        """Free what is held between jobs."""
