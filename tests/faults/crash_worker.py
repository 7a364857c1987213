"""`python -m tests.faults.crash_worker STEP`: run a worker that sends itself SIGKILL or SIGSTOP at a step of a job.

At the step `receiving` it runs a web process, which dies in the middle of an upload.
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


def crash_at(owner: Any, name: str, *, at: int = 1, is_after: bool = True, by: signal.Signals = signal.SIGKILL) -> None:
    """Replace a function so that its call number `at` sends this process a signal, before or after the real call.

    With `is_after` only calls that return a value count.
    """
    function: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def count(counts: bool) -> None:
        nonlocal calls
        calls += counts
        if calls == at:
            os.kill(os.getpid(), by)

    @functools.wraps(function)
    def crashing(*args: Any, **kwargs: Any) -> Any:
        if not is_after:
            count(True)
        value = function(*args, **kwargs)
        if is_after:
            count(value is not None)
        return value

    @functools.wraps(function)
    async def crashing_async(*args: Any, **kwargs: Any) -> Any:
        await function(*args, **kwargs)
        count(True)

    setattr(owner, name, crashing_async if asyncio.iscoroutinefunction(function) else crashing)


def prepare(step: str) -> None:
    from streaming import events
    from streaming.engines.aws.transport import Stream
    from streaming.jobs import lifecycle, queue
    from streaming.models import Segment
    from streaming.spool import Spool
    from uploads.files.upload_handler import DiskUploadHandler

    match step:
        case "claimed":
            crash_at(queue, "_claim_of")
        case "decoding":
            crash_at(Spool, "_grow")
        case "connected":
            crash_at(Stream, "send", at=90)  # each call sends a tenth of a second of audio
        case "storing":
            crash_at(Segment, "save_base", at=2, is_after=False)
        case "stored":
            crash_at(lifecycle, "store_final", at=2)
        case "hearing":
            crash_at(events, "partial", at=25, by=signal.SIGSTOP)
        case "ending":
            crash_at(lifecycle, "finish", is_after=False)
        case "receiving":
            crash_at(DiskUploadHandler, "receive_data_chunk", at=5, is_after=False)
        case _:
            raise ValueError(step)


if __name__ == "__main__":
    django.setup()
    prepare(sys.argv[1])
    call_command("serve" if sys.argv[1] == "receiving" else "run_jobs")
