"""Bound the time that a stopping process takes. `serve` and `run_jobs` call this when they receive SIGTERM."""

import os
import threading

END_SECONDS = 8.0  # process supervisors mostly send SIGKILL ten seconds after SIGTERM


def exit_by_deadline() -> None:
    """Start a timer that exits the process with status 1 after `END_SECONDS`. Returns at once.

    A thread that waits for a locked database or an ended event loop would otherwise keep the process alive. Jobs that
    were not handed back by then are claimed by other workers, like those of a killed worker.
    """
    timer = threading.Timer(END_SECONDS, os._exit, (1,))
    timer.daemon = True
    timer.start()
