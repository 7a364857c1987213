"""The site's interface to the decoder: starts a decoder process (`__main__.py`), reads its messages and reaps it.

A decoder that reports an error, crashes, hangs or is killed has the same result for callers: a `DecodingError` with a
sentence for people. `probe` is for synchronous callers; the other functions run on the event loop.
"""

import asyncio
import base64
import contextlib
import errno
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings

from uploads import file_types
from uploads.decoder import subprocesses
from uploads.decoder.slots import Purpose, slots
from uploads.tracks import Track, described

logger = logging.getLogger(__name__)

DECODER = Path(__file__).with_name("__main__.py")
# A decoder that sends no message for so long is killed. There is no limit for a whole run here, because a long file may
# take long.
STALL_SECONDS = 60.0
EXIT_SECONDS = 5.0  # a decoder that has closed its output gets so long to exit by itself
PEAKS = 1000
# The only environment variables that a decoder gets. A hostile file that controls it must find no secrets there.
ENVIRONMENT = ("PATH", "LANG", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


class DecodingError(Exception):
    """Decoding failed. The text is a sentence for people. `is_final` means that a retry of the same file would fail."""

    def __init__(self, sentence: str, *, is_final: bool = False) -> None:
        super().__init__(sentence)
        self.is_final = is_final


class DecoderNotStarted(DecodingError):
    """The operating system could not start a decoder: it lacks memory or processes. The file is not the reason."""


@dataclass(frozen=True)
class Probe:
    """The properties of a file. All but `container`, `tracks` and `is_playable` are those of the chosen `track`.

    `duration` is in seconds and `sample_rate` in Hz.
    """

    container: str
    codec: str
    duration: float
    sample_rate: int
    channels: int
    track: int
    tracks: list[Track]
    is_playable: bool
    undeclared_seconds: float = 0.0  # length of the audio that the file holds after the end declared in its header


def probe(path: Path, person: int | None = None) -> Probe:
    """Return the properties of a file. Raises DecodingError if none of its audio can be decoded.

    Blocks until a slot is free (`slots.py`). `person` is the id of the account whose decoders are counted together.
    """
    # A separate event loop: the server's loop may stop at shutdown while a request waits here.
    return asyncio.run(_probe(path, person))


async def _probe(path: Path, person: int | None) -> Probe:
    async with slots.acquire(Purpose.PROBE, person):
        found = await _last_message("probe", path)
    codec = str(found["codec"])[:64]
    return Probe(
        container=file_types.container_name(str(found["container"]), codec)[:64],
        codec=codec,
        duration=float(found["duration"]),
        sample_rate=int(found["sample_rate"]),
        channels=int(found["channels"]),
        track=int(found["track"]),
        tracks=described(found["tracks"]),
        is_playable=found["is_playable"] is True,
        undeclared_seconds=float(found["undeclared_seconds"]),
    )


class Waveform(NamedTuple):
    """The loudest sample, 0 to 255, of each of 1000 equal parts, and the track's exact lengths in seconds."""

    peaks: bytes
    duration: float
    undecodable_seconds: float


async def find_peaks(path: Path, track: str = "0") -> Waveform:
    """Decode all of a track and return its waveform. Raises DecodingError."""
    found = await _last_message("peaks", path, count=PEAKS, track=track)
    return Waveform(base64.b64decode(found["peaks"]), float(found["duration"]), float(found["skipped_seconds"]))


def decode(path: Path, target: Path, *, sample_rate: int, channels: int, track: str = "0") -> AsyncGenerator[int, None]:
    """Decode a track (an index, or `all` mixed) of the file at `path` into `target` as raw 16-bit samples.

    Yields the number of samples (of each channel) written so far, and ends when all are written. Closing the iterator,
    or cancelling the task that reads it, kills the decoder and keeps the samples written so far. Raises DecodingError.
    """
    return _run_into_file("pcm", path, target, rate=sample_rate, channels=channels, track=track)


def encode_copy(path: Path, target: Path, *, channels: int, track: str = "0") -> AsyncGenerator[int, None]:
    """Encode the listening copy of a track of the file at `path` into `target`. Yields and raises as `decode`.

    Players can play `target` from its beginning while it grows. They can seek in it when the iterator has ended.
    """
    return _run_into_file("listen", path, target, channels=channels, track=track)


async def _run_into_file(mode: str, path: Path, target: Path, **options: int | str) -> AsyncGenerator[int, None]:
    try:
        # A blocking call on the event loop: opening a local file takes microseconds.
        output = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DecodingError(f"The decoded audio can't be stored: {error.strerror}.") from error
    try:
        async with aclosing(_messages(mode, path, options, output)) as messages:
            async for message in messages:
                yield int(message["samples"])
    finally:
        os.close(output)


async def _last_message(mode: str, path: Path, **options: int | str) -> dict[str, Any]:
    async with aclosing(_messages(mode, path, options)) as messages:
        async for message in messages:
            last = message
    return last


async def _messages(
    mode: str, path: Path, options: Mapping[str, int | str], output: int | None = None
) -> AsyncGenerator[dict[str, Any], None]:
    """Run a decoder and yield its messages, including the last one. Reaps the decoder in every case.

    With `output` the decoder writes audio to this descriptor and its messages come on standard error.
    """
    process = await _start(mode, path, output, options)
    channel = process.stdout if output is None else process.stderr
    assert channel is not None  # `_start` created a pipe for it
    try:
        while True:
            try:
                async with asyncio.timeout(STALL_SECONDS):
                    line = await channel.readline()
            except TimeoutError:
                logger.warning("A decoder (%s) sent no message for %s s; killing it", mode, STALL_SECONDS)
                raise DecodingError("The decoder got stuck in this file.") from None
            except ValueError:  # the line exceeds the stream's limit, which no message of the decoder does
                line = b""
            if not line:
                raise DecodingError(await _exit_sentence(process, mode))
            message = _parsed(line)
            if "error" in message:
                # The cause lets `disk_errors.is_full` recognise a full disk that the decoder's process met.
                cause = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) if message.get("is_disk_full") else None
                raise DecodingError(str(message["error"])[:300], is_final=bool(message.get("is_final"))) from cause
            if message:
                yield message
            if message.get("done"):
                return
    finally:
        await subprocesses.end(process)


async def _start(
    mode: str, path: Path, output: int | None, options: Mapping[str, int | str]
) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            *_command(mode, path, options),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if output is None else output,
            stderr=asyncio.subprocess.DEVNULL if output is None else asyncio.subprocess.PIPE,
            env={name: os.environ[name] for name in ENVIRONMENT if name in os.environ} | {"OPENBLAS_NUM_THREADS": "1"},
            process_group=0,  # Ctrl-C in a terminal must reach only the site, which then ends its decoders in order
        )
    except OSError as error:
        logger.error("Could not start a decoder: %s", error)
        raise DecoderNotStarted("The decoder can't be started. Try again in a while.") from error


def _command(mode: str, path: Path, options: Mapping[str, int | str]) -> list[str]:
    given = {"parent": os.getpid(), "max-seconds": settings.MAX_AUDIO_SECONDS, **options}
    flags = [f"--{name}={value}" for name, value in given.items()]
    return [sys.executable, "-I", str(DECODER), mode, str(path.absolute()), *flags]


def _parsed(line: bytes) -> dict[str, Any]:
    """Return the message in a line; an empty one for another line, such as a library's warning."""
    try:
        message = json.loads(line)
    except ValueError:
        logger.info("Ignored a line from the decoder that is not a message: %r", line[:300])
        return {}
    return message if isinstance(message, dict) else {}


async def _exit_sentence(process: asyncio.subprocess.Process, mode: str) -> str:
    """Return the error sentence for a decoder that ended without a last message."""
    with contextlib.suppress(TimeoutError):  # it closed its output but still runs: the caller kills it
        async with asyncio.timeout(EXIT_SECONDS):
            await process.wait()
    logger.warning("A decoder (%s) exited with code %s", mode, process.returncode)
    if process.returncode == -signal.SIGXCPU:
        return "Decoding this file takes too long."
    return "The decoder stopped in the middle of this file."
