"""`python -m tests.faults.crash_worker STEP`: a worker that is killed or frozen, as by the system, at a step of a job.

At the step `receiving` it is a web process, in the middle of an upload.
"""

import asyncio
import functools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import django
from django.core.management import call_command


def killed(owner: Any, name: str, *, at: int = 1, is_after: bool = True, by: signal.Signals = signal.SIGKILL) -> None:
    """Let the process get a signal at that call of a function: before it, or when it has returned something."""
    function: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def count(has_come: bool) -> None:
        nonlocal calls
        calls += has_come
        if calls == at:
            os.kill(os.getpid(), by)

    @functools.wraps(function)
    def doomed(*args: Any, **kwargs: Any) -> Any:
        if not is_after:
            count(True)
        value = function(*args, **kwargs)
        if is_after:
            count(value is not None)
        return value

    @functools.wraps(function)
    async def doomed_later(*args: Any, **kwargs: Any) -> Any:
        await function(*args, **kwargs)
        count(True)

    setattr(owner, name, doomed_later if asyncio.iscoroutinefunction(function) else doomed)


def prepare(step: str) -> None:
    from streaming import events
    from streaming.engines.aws.transport import Stream
    from streaming.jobs import lifecycle, queue
    from streaming.models import Segment
    from streaming.spool import Spool
    from uploads.files.upload_handler import DiskUploadHandler

    match step:
        case "claimed":
            killed(queue, "_claim_of")
        case "decoding":
            killed(Spool, "_grow")
        case "connected":
            killed(Stream, "send", at=90)  # chunks of a tenth of a second
        case "storing":
            killed(Segment, "save_base", at=2, is_after=False)
        case "stored":
            killed(lifecycle, "store_final", at=2)
        case "hearing":
            killed(events, "partial", at=25, by=signal.SIGSTOP)
        case "ending":
            killed(lifecycle, "finish", is_after=False)
        case "receiving":
            killed(DiskUploadHandler, "receive_data_chunk", at=5, is_after=False)
        case _:
            raise ValueError(step)


if __name__ == "__main__":
    django.setup()
    prepare(sys.argv[1])
    call_command("serve" if sys.argv[1] == "receiving" else "run_jobs")
