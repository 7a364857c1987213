"""Bounds how long a stopping process may take. `serve` and `run_jobs` call this when they receive SIGTERM."""

import os
import threading

END_SECONDS = 8.0  # process supervisors mostly send SIGKILL ten seconds after SIGTERM


def exit_by_deadline() -> None:
    """See to it that this process ends, whatever its threads wait for: an event loop that is over, a locked database.

    The jobs that it did not hand back are noticed as those of a worker that was killed.
    """
    timer = threading.Timer(END_SECONDS, os._exit, (1,))
    timer.daemon = True
    timer.start()
