"""The seam between the jobs and whatever turns sound into words. An engine never knows who watches."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from streaming.results import Result, storable
from streaming.spool import Spool


class EngineError(Exception):
    """The one exception that leaves an engine.

    `message` is a sentence that a person can act on. A `permanent` failure would come again; after any other
    the job goes on from its last final.
    """

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(storable(message))  # it may quote anything
        self.permanent = permanent


class EngineBusy(EngineError):
    """There is no room for another job now: it goes back to the queue, with `message` as the reason, and waits."""

    def __init__(self, message: str) -> None:
        super().__init__(message, permanent=False)


@dataclass(frozen=True)
class Request:
    """What is asked of an engine: from `start_time` (seconds) to the end of the recording.

    `ended` says for each slot where its last final ends: what was said before is known and not wanted again.
    `speakers` are the labels given so far, in order. `is_watched` tells at any time whether a viewer sees partials: an
    engine may save those that nobody sees. `track` is the audio track that the spool was decoded from: an index, `all`
    (mixed), or None for the only one.
    """

    language_code: str
    options: Mapping[str, Any] = field(default_factory=dict)
    start_time: float = 0.0
    ended: Mapping[str, float] = field(default_factory=dict)
    speakers: tuple[str, ...] = ()
    is_watched: Callable[[], bool] = field(default=lambda: True, compare=False)
    track: int | str | None = None

    def after(self, final: Result) -> "Request":
        """Return what is left to ask after this final."""
        known = not final.speaker or final.speaker in self.speakers
        return replace(
            self,
            start_time=max(self.start_time, final.next_time),
            ended={**self.ended, final.slot: max(self.ended.get(final.slot, 0.0), final.end_time)},
            speakers=self.speakers if known else (*self.speakers, final.speaker),
        )


@dataclass(frozen=True)
class Option:
    """An option that a person can set before a job starts; the form makes a field of it.

    `kind` is `flag`, `text`, `names` (texts, separated by commas), `choice` or `choices` (of `choices`: value → what
    people call it; a `choice` of one is a box to tick). `label` says what a job with it does, as in “Speakers told
    apart”. With one that `marks_words`, finals may have words that a page is to mark.
    """

    name: str
    label: str
    kind: str
    help: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)
    marks_words: bool = False


@dataclass(frozen=True)
class Quote:
    """What a job will take: `seconds` of waiting, US dollars (None: nothing), and where the sound goes."""

    seconds: float
    price_usd: float | None = None
    place: str = ""


class Engine(ABC):
    """Turns a spool into results. One instance serves all jobs of a worker."""

    name: ClassVar[str]
    label: ClassVar[str]
    languages: ClassVar[Mapping[str, str]]  # code → what people call it; the first is the default
    options: ClassVar[tuple[Option, ...]] = ()
    # A running job may return to the queue for another person's job. Not where that costs money or time at a service.
    is_preemptible: ClassVar[bool] = False
    test_note: ClassVar[str] = ""  # what a test of the connection costs, said before it

    @classmethod
    def default_language(cls, options: Mapping[str, Any]) -> str:
        """Return the language of a job that names none."""
        return next(iter(cls.languages))

    @classmethod
    def check(cls, language_code: str, options: Mapping[str, Any], channels: int) -> None:
        """Raise `EngineError` with a sentence if a job with these, with so many channels, can't start."""
        if language_code not in cls.languages:
            known = ", ".join(cls.languages)
            raise EngineError(
                f"The engine “{cls.label}” does not know the language “{language_code}”. It knows: {known}.",
                permanent=True,
            )
        if options:
            raise EngineError(f"The engine “{cls.label}” has no option “{next(iter(options))}”.", permanent=True)

    @classmethod
    def missing(cls) -> str:
        """Return what must be set up before this site can use the engine, as a sentence; empty: nothing."""
        return ""

    @classmethod
    def channels(cls, options: Mapping[str, Any]) -> int:
        """Return how many channels of the sound are wanted: 1 is all of them mixed."""
        return 1

    @classmethod
    def quote(cls, duration: float, options: Mapping[str, Any]) -> Quote | None:
        """Return what a recording of `duration` (seconds) will take, or None where that isn't worth a word."""
        return None

    @classmethod
    def address(cls) -> str:
        """Return where the sound goes, for those who set the site up; empty: it stays on this machine."""
        quote = cls.quote(0, {})
        return quote.place if quote else ""

    @classmethod
    def most_jobs(cls) -> int | None:
        """Return how many jobs of the whole site may run at once on this engine; None: any number."""
        return None

    @classmethod
    async def test_connection(cls) -> str | None:
        """Try the way to the service and return a sentence; None for an engine that has none.

        Raises `EngineError` with what to mend.
        """
        return None

    @abstractmethod
    def transcribe(self, audio: Spool, request: Request) -> AsyncGenerator[Result, None]:
        """Yield partials and finals, finals of a slot in order of time. Raises `EngineError`.

        Closing the generator ends the work and frees what it held.
        """

    async def warm_up(self) -> None:  # noqa: B027 most engines have nothing to prepare
        """Make the first words of the next job come sooner. Called when a worker starts."""

    async def aclose(self) -> None:  # noqa: B027 most engines hold nothing
        """Free what is held between jobs."""
