"""The interface of an engine, which turns decoded audio into results.

A worker runs one engine instance for all its jobs; the web pages and the command read the class's name, languages and
options. An engine knows neither jobs nor viewers.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from streaming.results import Result, storable
from streaming.spool import Spool


class EngineError(Exception):
    """The only exception that an engine raises on purpose.

    The user reads `message`, so it states the cause and the remedy. The worker fails the job after a `permanent`
    error, because a retry would fail in the same way. After any other error it retries from the end of the last final.
    """

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(storable(message))  # may quote text from a service, which the database may not accept
        self.permanent = permanent


class EngineBusy(EngineError):
    """The engine has no capacity for this job now. The worker returns the job to the queue; users read `message`."""

    def __init__(self, message: str) -> None:
        super().__init__(message, permanent=False)


@dataclass(frozen=True)
class Request:
    """A request to transcribe a recording from `start_time` (seconds) to its end.

    `ended` maps each slot to the end of its last final (seconds): the engine must not return the words before it
    again. `speakers` are the labels that earlier finals used, in order of appearance. `is_watched()` returns whether a
    viewer currently receives partials; if not, the engine may skip them. `track` is the audio track that the spool was
    decoded from: an index, `all` (mixed), or None for the only one.
    """

    language_code: str
    options: Mapping[str, Any] = field(default_factory=dict)
    start_time: float = 0.0
    ended: Mapping[str, float] = field(default_factory=dict)
    speakers: tuple[str, ...] = ()
    is_watched: Callable[[], bool] = field(default=lambda: True, compare=False)
    track: int | str | None = None

    def after(self, final: Result) -> "Request":
        """Return the request for the rest of the recording after `final`. A retry uses it."""
        known = not final.speaker or final.speaker in self.speakers
        return replace(
            self,
            start_time=max(self.start_time, final.next_time),
            ended={**self.ended, final.slot: max(self.ended.get(final.slot, 0.0), final.end_time)},
            speakers=self.speakers if known else (*self.speakers, final.speaker),
        )


@dataclass(frozen=True)
class Option:
    """An option that a user can set before a job starts. The form on the recording's page has a field for each.

    `kind` is `flag`, `text`, `names` (a list of strings; users separate them by commas), `choice` or `choices`.
    `choices` maps each allowed value to its label; the form shows a `choice` with one value as a checkbox. `label`
    names the field, and the job's page lists the labels of the options that are set. With an option that
    `marks_words`, a final may have words that pages highlight.
    """

    name: str
    label: str
    kind: str
    help: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)
    marks_words: bool = False


@dataclass(frozen=True)
class Quote:
    """An estimate for a job: its duration, its price in US dollars (None: free), and where the audio is sent to."""

    seconds: float
    price_usd: float | None = None
    place: str = ""


class Engine(ABC):
    """Turns the audio in a spool into results. One instance serves all jobs of a worker."""

    name: ClassVar[str]
    label: ClassVar[str]
    languages: ClassVar[Mapping[str, str]]  # code → label; the first is the default
    options: ClassVar[tuple[Option, ...]] = ()
    # Whether a worker may interrupt a running job in favour of another user's job. False for engines of a service that
    # bills the interrupted part again.
    is_preemptible: ClassVar[bool] = False
    test_note: ClassVar[str] = ""  # shown beside the button that tests the connection: its cost

    @classmethod
    def default_language(cls, options: Mapping[str, Any]) -> str:
        """Return the language code of a job for which the user chose no language."""
        return next(iter(cls.languages))

    @classmethod
    def check(cls, language_code: str, options: Mapping[str, Any], channels: int) -> None:
        """Raise a permanent `EngineError` if the engine can't run a job with this language and these options.

        `channels` is the number of channels of the chosen audio track.
        """
        if language_code not in cls.languages:
            known = ", ".join(cls.languages)
            raise EngineError(
                f"The engine “{cls.label}” does not support the language “{language_code}”. Choose one of: {known}.",
                permanent=True,
            )
        if options:
            raise EngineError(f"The engine “{cls.label}” has no option “{next(iter(options))}”.", permanent=True)

    @classmethod
    def missing(cls) -> str:
        """Return a sentence that names the setting that the engine needs before it can run, or "" if it is ready."""
        return ""

    @classmethod
    def channels(cls, options: Mapping[str, Any]) -> int:
        """Return how many channels the decoder must write into the spool; 1 means that it mixes all channels."""
        return 1

    @classmethod
    def quote(cls, duration: float, options: Mapping[str, Any]) -> Quote | None:
        """Return an estimate for a recording of `duration` seconds, or None if the page needs to show none."""
        return None

    @classmethod
    def address(cls) -> str:
        """Return the address that receives the audio, for the admin; "" if the audio stays on this server."""
        quote = cls.quote(0, {})
        return quote.place if quote else ""

    @classmethod
    def most_jobs(cls) -> int | None:
        """Return how many jobs of the whole site may run on this engine at the same time; None means no limit."""
        return None

    @classmethod
    async def test_connection(cls) -> str | None:
        """Connect to the engine's service and return a sentence about the outcome. Return None if it has no service.

        Raises `EngineError` with a sentence that names the remedy.
        """
        return None

    @abstractmethod
    def transcribe(self, audio: Spool, request: Request) -> AsyncGenerator[Result, None]:
        """Yield partials and finals. The finals of one slot are in order of time. Raises `EngineError`.

        The caller may close the generator at any time: the engine then stops working and closes its connections and
        processes.
        """

    async def warm_up(self) -> None:  # noqa: B027 optional: most engines have nothing to prepare
        """Prepare for the next job, so that its first words appear sooner. Workers call this when they start."""

    async def aclose(self) -> None:  # noqa: B027 optional: most engines keep no resources
        """Release the resources that the engine keeps between jobs. Workers call this when they stop."""
