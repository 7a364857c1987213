"""The end of a child process: nothing is left of it, whoever hurries."""

import asyncio
import contextlib


async def end(process: asyncio.subprocess.Process) -> None:
    """Kill a child, unless it has ended, and wait until it and its pipes are gone.

    That takes a moment, and is done to the end even if who waits is cancelled meanwhile.
    """
    with contextlib.suppress(ProcessLookupError):  # it has ended by itself
        process.kill()
    if process.stdin is not None:
        process.stdin.close()
    ending = asyncio.ensure_future(process.communicate())  # reads the pipes to their ends, and waits
    is_cancelled = False
    while not ending.done():
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            is_cancelled = True
    if is_cancelled:
        raise asyncio.CancelledError
