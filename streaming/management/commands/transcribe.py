"""`manage.py transcribe FILE…` transcribes files in a terminal, without a database or a worker.

It uses the same decoder, engines and export formats as a job.
"""

import asyncio
import os
import signal
import sys
import tempfile
import uuid
from argparse import ArgumentParser
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from tqdm import tqdm

from streaming.engines import options
from streaming.engines.base import Engine, EngineError, Request
from streaming.engines.registry import engine_class
from streaming.models import Job, Segment, Status
from streaming.spool import Spool, open_spool_of_file
from streaming.transcript import exports
from streaming.worker.retry import transcribe_with_retries
from uploads import file_types, filenames, tracks
from uploads.decoder import client as decoder
from uploads.models import Upload

FORMATS = {"text": "txt", "srt": "srt", "vtt": "vtt", "json": "json"}
DRAW_SECONDS = 0.1  # between two updates of the progress bar


class Command(BaseCommand):
    help = "Transcribes audio and video files, shows the text live, and prints or saves the transcripts."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        # handle() checks the values: argparse would print its usage and exit with code 2.
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
        engines = ", ".join(settings.TRANSCRIBE_ENGINES)
        parser.add_argument("--engine", default=settings.TRANSCRIBE_DEFAULT_ENGINE, help=f"one of: {engines}")
        parser.add_argument("--language", default="", help="e.g. en-US; default: the engine's first language")
        parser.add_argument(
            "--option",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="an option of the engine; may be repeated",
        )
        parser.add_argument("--track", default="", help="index of the audio track, from 0, or “all” to mix all tracks")
        parser.add_argument("--format", default="text", help=f"one of: {', '.join(FORMATS)}")
        parser.add_argument(
            "--output", type=Path, metavar="PATH", help="a file or a folder; must be a folder for several FILEs"
        )

    def handle(self, *args: Any, **given: Any) -> None:
        files: list[Path] = given["files"]
        try:
            chosen = engine_class(given["engine"])
            if missing := chosen.missing():
                raise EngineError(missing, permanent=True)
            self._options = read_options(chosen, given["option"])
            self._track = tracks.parse(given["track"])
            self._language = given["language"] or chosen.default_language(self._options)
            # Check before opening any file, assuming that each has enough channels; `_transcribe` checks those.
            chosen.check(self._language, self._options, chosen.channels(self._options))
        except (EngineError, tracks.UnknownTrack) as error:
            raise CommandError(str(error)) from error
        if given["format"] not in FORMATS:
            raise CommandError(f"There is no format “{given['format']}”. Choose one of: {', '.join(FORMATS)}.")
        self._format = FORMATS[given["format"]]
        targets = find_targets(files, given["output"], self._format)
        self._current, self._signal = files[0], 0
        try:
            failed = asyncio.run(self._transcribe_each(chosen(), files, targets))
        except asyncio.CancelledError:
            sentence = f"Cancelled before {self._current} was finished. No transcript of it was written."
            raise CommandError(sentence, returncode=128 + self._signal) from None
        if failed:
            raise CommandError(f"{failed} of {len(files)} files were not transcribed.")

    async def _transcribe_each(self, engine: Engine, files: list[Path], targets: list[Path | None]) -> int:
        """Transcribe the files one after the other, and return how many failed.

        Raises `CommandError` if the only file fails, or if standard output can't be written.
        """
        self._stop_on_signals()
        failed = 0
        with tempfile.TemporaryDirectory(prefix="transcribe-") as folder:
            try:
                await engine.warm_up()
                for path, target in zip(files, targets, strict=True):
                    self._current = path
                    try:
                        text = await self._transcribe(engine, path, Path(folder))
                        if target is not None:
                            write_file(target, text)
                            self.stderr.write(f"{path} → {target}")
                    except CommandError as error:
                        if len(files) == 1:
                            raise
                        failed += 1
                        self.stderr.write(self.style.ERROR(str(error)))
                        continue
                    if target is None:
                        self._print(text if len(files) == 1 else f"==> {path} <==\n{text}\n")
            finally:
                await engine.aclose()
        return failed

    def _stop_on_signals(self) -> None:
        """Cancel the work at the first Ctrl-C or SIGTERM, so that all processes are terminated."""
        task = asyncio.current_task()
        assert task is not None

        def stop(number: signal.Signals) -> None:
            if not self._signal:  # a second signal would interrupt the clean-up
                self._signal = number
                task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop, number)

    async def _transcribe(self, engine: Engine, path: Path, folder: Path) -> str:
        """Return the transcript of one file. Raises `CommandError`, whose message begins with the path."""
        try:
            found = await asyncio.to_thread(probe, path)
            upload = Upload(name=filenames.of_file(path.name), **vars(found))
            tracks.check(upload.tracks, self._track)
            track = tracks.resolved(upload.tracks, self._track, upload.track)
            sample_rate, found_channels = upload.audio_of(track)
            engine.check(self._language, self._options, found_channels)
            asked = {"engine": engine.name, "language_code": self._language, "options": self._options, "track": track}
            job = Job(upload=upload, **asked, created_at=timezone.now())
            job.started_at = job.created_at
            channels = engine.channels(self._options)
            async with open_spool_of_file(path, sample_rate, folder, channels, upload.decoded_track(track)) as spool:
                async with progress(path.name, spool, found.duration) as show:
                    segments = await segments_of(engine, spool, job, show)
                job.duration = job.position = spool.seconds
                job.segment_count = len(segments)
        except (decoder.DecodingError, EngineError, tracks.UnknownTrack) as error:
            raise CommandError(f"{path}: {error}") from error
        except OSError as error:
            # The disk for the decoded audio is full or missing.
            raise CommandError(f"{path}: {error.strerror or error}.") from error
        job.status, job.finished_at = Status.COMPLETED, timezone.now()
        return exports.write(job, segments, self._format)

    def _print(self, text: str) -> None:
        try:
            self.stdout.write(text, ending="")
            self.stdout.flush()
        except OSError as error:
            # The pipe is closed or the disk is full. Discard the rest: Python would fail again when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise CommandError(f"Could not write the transcript: {error.strerror}.") from error


def read_options(engine: type[Engine], given: list[str]) -> dict[str, Any]:
    """Return the options given as `name=value`. Raises `EngineError` for an unknown name or an invalid flag."""
    known = {option.name: option for option in engine.options}
    read = {}
    for text in given:
        name, equals, value = text.partition("=")
        if name not in known:
            has = f"Choose one of: {', '.join(known)}." if known else "It has no options."
            raise EngineError(
                f"The engine “{engine.label}” has no option “{options.abbreviated(name)}”. {has}", permanent=True
            )
        # A name without a value switches a flag on.
        read[name] = options.parse(known[name], value if equals else "on")
    return read


def probe(path: Path) -> decoder.Probe:
    """Return the audio properties of a file. Raises `CommandError` for a file without audio, and `OSError`."""
    if not path.is_file():
        raise CommandError(f"{path} is not a file." if path.exists() else f"There is no file {path}.")
    try:
        return decoder.probe(path)
    except decoder.DecodingError as error:
        with open(path, "rb") as file:
            head = file.read(512)
        what = (head and file_types.identify(head)) or str(error)
        raise CommandError(f"{path}: {what} {file_types.SUPPORTED}") from error


async def segments_of(engine: Engine, spool: Spool, job: Job, show: Callable[[str], None]) -> list[Segment]:
    """Run the engine to completion and return its finals as unsaved segments. Calls `show` with each text."""
    segments: list[Segment] = []
    request = Request(job.language_code, job.options, track=tracks.as_json(job.track))
    async with aclosing(transcribe_with_retries(engine, spool, request)) as results:
        async for result in results:
            show(result.text)
            if not result.is_partial:
                segments.append(Segment.of(job.pk, len(segments) + 1, result))
    return segments


class Bar(tqdm):
    """A progress bar that shows minutes and seconds of the recording."""

    @property
    def format_dict(self) -> dict[str, Any]:
        values: dict[str, Any] = super().format_dict
        at, total = (tqdm.format_interval(seconds) for seconds in (values["n"], values["total"]))
        return values | {"at": at, "of": total}


@asynccontextmanager
async def progress(name: str, spool: Spool, duration: float) -> AsyncIterator[Callable[[str], None]]:
    """Draw a progress bar, and below it the text passed to the yielded function. Draws nothing without a terminal."""
    shared = {"file": sys.stderr, "disable": None, "leave": False}
    layout = "{desc} {percentage:3.0f}% {bar} {at} of {of}, {remaining} left"
    with (
        Bar(total=duration, desc=name, bar_format=layout, dynamic_ncols=True, **shared) as bar,
        tqdm(bar_format="{desc}", position=1, **shared) as line,
    ):

        def show(text: str) -> None:
            if not line.disable:
                room = os.get_terminal_size(sys.stderr.fileno()).columns - 1
                line.set_description_str(text if len(text) <= room else f"…{text[1 - room :]}")

        async def draw() -> None:
            while True:
                bar.update(min(spool.position, duration) - bar.n)
                await asyncio.sleep(DRAW_SECONDS)

        drawing = asyncio.create_task(draw())
        try:
            yield show
        finally:
            drawing.cancel()


def find_targets(files: list[Path], output: Path | None, suffix: str) -> list[Path | None]:
    """Return the path of each transcript; None means standard output. Raises `CommandError` for an unusable path."""
    if output is None:
        if len(files) > 1 and suffix != "txt":
            raise CommandError("Several transcripts in this format need a folder. Set it with --output.")
        return [None] * len(files)
    try:
        if len(files) > 1:
            output.mkdir(parents=True, exist_ok=True)
        targets = in_folder(files, output, suffix) if output.is_dir() else [output.resolve()]
        for target in targets:
            if not target.parent.is_dir():
                raise CommandError(f"There is no folder {target.parent}.")
            if not os.access(target.parent, os.W_OK | os.X_OK):
                raise CommandError(f"The folder {target.parent} is not writable. Choose another with --output.")
            if target.exists() and not target.is_file():
                raise CommandError(f"{target} already exists and is not a file.")
            if target in [path.resolve() for path in files]:
                raise CommandError(
                    f"The transcript would overwrite the recording {target}. Choose another path with --output."
                )
    except OSError as error:
        raise CommandError(f"{output} can't be used: {error.strerror}.") from error
    return [*targets]


def in_folder(files: list[Path], folder: Path, suffix: str) -> list[Path]:
    """Return a path for each transcript. Adds numbers where recordings in different folders have the same name."""
    targets: list[Path] = []
    for path in files:
        number, target = 1, folder.resolve() / f"{path.stem}.{suffix}"
        while target in targets:
            number += 1
            target = target.with_name(f"{path.stem} ({number}).{suffix}")
        targets.append(target)
    return targets


def write_file(target: Path, text: str) -> None:
    """Write a file atomically, so that no program reads an incomplete transcript. Raises `CommandError`."""
    part = target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(target)
    except OSError as error:
        raise CommandError(f"Could not write {target}: {error.strerror}.") from error
    finally:
        part.unlink(missing_ok=True)
