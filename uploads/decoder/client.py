"""Decoding from the side of the site: starts a decoder (`__main__.py`), listens to it, and always ends it.

A decoder that is killed, crashes or hangs is the same to the caller as one that complains: a `DecodingError`
with a sentence. `probe` is for synchronous callers; the rest runs on the event loop.
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
from uploads.decoder.slots import Purpose, places
from uploads.tracks import Track, described

logger = logging.getLogger(__name__)

DECODER = Path(__file__).with_name("__main__.py")
STALL_SECONDS = 60.0  # without a word from the decoder. Not a limit of the whole: a long file takes its time
EXIT_SECONDS = 5.0  # between closing its output and being gone
PEAKS = 1000
# What a hostile file could take over gets none of our secrets: these variables and no others.
ENVIRONMENT = ("PATH", "LANG", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


class DecodingError(Exception):
    """Decoding failed. The text is a sentence for a person; `is_final` where the same file would fail again."""

    def __init__(self, sentence: str, *, is_final: bool = False) -> None:
        super().__init__(sentence)
        self.is_final = is_final


class DecoderNotStarted(DecodingError):
    """It is this machine that failed, not the file: no memory, no process to be had."""


@dataclass(frozen=True)
class Probe:
    """What decoding found: short names, seconds, Hz; of the chosen `track` except for `tracks`."""

    container: str
    codec: str
    duration: float
    sample_rate: int
    channels: int
    track: int
    tracks: list[Track]
    is_playable: bool
    undeclared_seconds: float = 0.0  # that the file holds after the end that its header declares


def probe(path: Path, person: int | None = None) -> Probe:
    """Return what is in a file whose sound can be decoded. Raises DecodingError for any other.

    Waits for a place (`slots.py`), in which the decoders of `person` (the id of an account) count together.
    """
    # On a loop of its own: the server's may stop while a request waits here.
    return asyncio.run(_probe(path, person))


async def _probe(path: Path, person: int | None) -> Probe:
    async with places.taken(Purpose.PROBE, person):
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
    """A byte for each of 1000 equal parts, the exact duration, and the seconds of it that could not be decoded."""

    peaks: bytes
    duration: float
    undecodable_seconds: float


async def find_peaks(path: Path, track: str = "0") -> Waveform:
    """Decode all of a track and return its waveform. Raises DecodingError."""
    found = await _last_message("peaks", path, count=PEAKS, track=track)
    return Waveform(base64.b64decode(found["peaks"]), float(found["duration"]), float(found["skipped_seconds"]))


def decode(path: Path, target: Path, *, sample_rate: int, channels: int, track: str = "0") -> AsyncGenerator[int, None]:
    """Decode a track of the file at `path` (an index, or `all` mixed) into `target`, raw 16-bit samples.

    Yields how many samples there are (a channel) so far and ends when all are there. Closing the iterator, or
    cancelling its reader, ends the decoder. The samples written until then stay. Raises DecodingError.
    """
    return _written("pcm", path, target, rate=sample_rate, channels=channels, track=track)


def encode_copy(path: Path, target: Path, *, channels: int, track: str = "0") -> AsyncGenerator[int, None]:
    """Write the listening copy of a track of the file at `path` to `target`; otherwise as `decode`.

    `target` can be played from its beginning while it grows. It has its index when the iterator ends.
    """
    return _written("listen", path, target, channels=channels, track=track)


async def _written(mode: str, path: Path, target: Path, **options: int | str) -> AsyncGenerator[int, None]:
    try:
        # On the event loop: opening a file of our own folder doesn't wait.
        output = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DecodingError(f"The decoded sound can't be stored: {error.strerror}.") from error
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
    """Run a decoder and yield its messages, up to and with the last one. It is gone when this ends, however it ends."""
    process = await _start(mode, path, output, options)
    channel = process.stdout if output is None else process.stderr
    assert channel is not None  # a pipe was asked for
    try:
        while True:
            try:
                async with asyncio.timeout(STALL_SECONDS):
                    line = await channel.readline()
            except TimeoutError:
                logger.warning("A decoder (%s) said nothing for %s s and was ended.", mode, STALL_SECONDS)
                raise DecodingError("The decoder got stuck in this file.") from None
            except ValueError:  # a line longer than the stream's limit: not one of ours
                line = b""
            if not line:
                raise DecodingError(await _epitaph(process, mode))
            message = _parsed(line)
            if "error" in message:
                # The cause lets `disks.is_full` recognise a disk that was full in the decoder's process.
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
            process_group=0,  # Ctrl-C in a terminal is for us, who end it in order
        )
    except OSError as error:
        logger.error("A decoder can't be started: %s", error)
        raise DecoderNotStarted("The decoder can't be started. Try again in a while.") from error


def _command(mode: str, path: Path, options: Mapping[str, int | str]) -> list[str]:
    given = {"parent": os.getpid(), "max-seconds": settings.MAX_AUDIO_SECONDS, **options}
    flags = [f"--{name}={value}" for name, value in given.items()]
    return [sys.executable, "-I", str(DECODER), mode, str(path.absolute()), *flags]


def _parsed(line: bytes) -> dict[str, Any]:
    """Return the message in a line; an empty one for a line that isn't a message (a library's warning)."""
    try:
        message = json.loads(line)
    except ValueError:
        logger.info("The decoder printed: %r", line[:300])
        return {}
    return message if isinstance(message, dict) else {}


async def _epitaph(process: asyncio.subprocess.Process, mode: str) -> str:
    """Return a sentence for a decoder that ended without its last message."""
    with contextlib.suppress(TimeoutError):  # it closed its output and lives: ended by our caller, as any other
        async with asyncio.timeout(EXIT_SECONDS):
            await process.wait()
    logger.warning("A decoder (%s) ended with code %s.", mode, process.returncode)
    if process.returncode == -signal.SIGXCPU:
        return "Decoding this file takes too long."
    return "The decoder stopped in the middle of this file."
