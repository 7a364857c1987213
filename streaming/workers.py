"""Who runs jobs on this machine, and who of them has died.

Each worker has a folder with a lock file that it keeps locked while it lives (the system lets go of the lock
however the process ends) and its spools. So the jobs of a worker that was killed here are taken over at once,
while those on other machines are noticed by their lease.
"""

import fcntl
import logging
import os
import shutil
import threading
import uuid
from pathlib import Path
from types import TracebackType
from typing import IO

from django.conf import settings

logger = logging.getLogger(__name__)

END_SECONDS = 8.0  # whoever stops a process mostly kills it after ten


class Worker:
    """The identity of a worker; a context manager that holds the lock and the folder."""

    def __init__(self) -> None:
        self.name = uuid.uuid4().hex
        self.folder = folder_of(self.name)
        self._lock: IO[bytes] | None = None

    def __enter__(self) -> "Worker":
        # Locked before it has its real name, so that nobody finds it unlocked and takes it for dead.
        new = self.folder.with_name(f"new-{self.folder.name}")
        new.mkdir(parents=True)
        self._lock = open(new / "lock", "wb")
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        new.rename(self.folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()


def folder_of(name: str) -> Path:
    return Path(settings.DATA_DIR) / "workers" / name


def dead_workers() -> list[str]:
    """Return the names of the workers that died on this machine; `forget` takes them off the list."""
    dead = []
    for lock in (Path(settings.DATA_DIR) / "workers").glob("*/lock"):
        if lock.parent.name.startswith("new-"):
            continue
        try:
            with open(lock, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            dead.append(lock.parent.name)
        except BlockingIOError:
            continue  # it lives
        except FileNotFoundError:
            continue  # it ended well in this moment
        except OSError as error:
            # Not ours to read, or a file system without locks: the lease will tell.
            logger.warning("Whether the worker of %s lives can't be seen: %s", lock, error)
    return dead


def forget(names: list[str]) -> None:
    """Remove the folders of dead workers, with the spools that they left."""
    for name in names:
        shutil.rmtree(folder_of(name), ignore_errors=True)


def end_soon() -> None:
    """See to it that this process ends, whatever its threads wait for: an event loop that is over, a locked database.

    The jobs that it did not hand back are noticed as those of a worker that was killed.
    """
    timer = threading.Timer(END_SECONDS, os._exit, (1,))
    timer.daemon = True
    timer.start()
