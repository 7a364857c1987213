"""Terminates a child process and reaps it, even if the caller is cancelled.

The decoder's client and the built-in engine use it: no cancelled job may leave a process, a zombie or a pipe behind.
"""

import asyncio
import contextlib


async def end(process: asyncio.subprocess.Process) -> None:
    """Kill a child process, unless it has ended, reap it and close its pipes.

    A cancellation meanwhile is raised only after the process has been reaped.
    """
    with contextlib.suppress(ProcessLookupError):  # the process has already ended
        process.kill()
    if process.stdin is not None:
        process.stdin.close()
    # `communicate` reads the pipes to their ends, which closes them, and waits for the process.
    ending = asyncio.ensure_future(process.communicate())
    is_cancelled = False
    while not ending.done():
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            is_cancelled = True  # raised below: the process must be reaped first
    if is_cancelled:
        raise asyncio.CancelledError
