"""The workers of this machine, and which of them have died.

Each worker has a folder with its spools and a lock file. It holds the lock while it lives: the system releases the lock
however the process ends. So the jobs of a worker that was killed are taken over at once. Machines may share the data
folder, and a lock that another machine holds may look free here. So the lock file names the boot of the machine that
wrote it, and only workers of the same boot are judged; jobs of the others are taken over when their lease runs out.
"""

import fcntl
import logging
import os
import shutil
import subprocess
import time
import uuid
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import IO

from django.conf import settings

logger = logging.getLogger(__name__)

OLD_SECONDS = 24 * 3600.0  # a worker touches its lock every few seconds


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
        self._lock.write(boot_id().encode())
        self._lock.flush()
        new.rename(self.folder)
        return self

    def check_workers(self) -> list[str]:
        """Return the names of dead workers, and remove old folders. Shows other machines that this worker lives."""
        with suppress(OSError):  # the disk is away
            os.utime(self.folder / "lock")
        remove_old_folders()
        return dead_workers()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()


def folder_of(name: str) -> Path:
    return Path(settings.DATA_DIR) / "workers" / name


@cache
def boot_id() -> str:
    """Return a text that this machine has until its next start, and no other machine ever; empty where unknown.

    Containers on one machine share it, and their locks as well.
    """
    with suppress(OSError):  # not Linux
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with suppress(OSError):  # not macOS
        asked = ("sysctl", "-n", "kern.bootsessionuuid")
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    return ""


def dead_workers() -> list[str]:
    """Return the names of the workers that died on this machine since it started."""
    dead = []
    for lock in (Path(settings.DATA_DIR) / "workers").glob("*/lock"):
        if lock.parent.name.startswith("new-"):
            continue
        try:
            with open(lock, "rb") as file:
                if not boot_id() or file.read() != boot_id().encode():
                    continue  # a worker of another machine, of this one before it restarted, or of an older version
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


def remove_folders(names: list[str]) -> None:
    """Remove the folders of dead workers, with the spools that they left."""
    for name in names:
        shutil.rmtree(folder_of(name), ignore_errors=True)


def remove_old_folders() -> None:
    """Remove the folders of workers of other boots that have not touched their lock for a day.

    Their spools would otherwise fill the disk after a machine restarted, or was switched off for good. An empty lock
    file is an older version's, which does not touch it.
    """
    for lock in (Path(settings.DATA_DIR) / "workers").glob("*/lock"):
        with suppress(OSError):  # the worker, or another one that removes its folder, was faster
            is_old = time.time() - lock.stat().st_mtime > OLD_SECONDS
            if is_old and lock.read_bytes() not in (b"", boot_id().encode()):
                shutil.rmtree(lock.parent, ignore_errors=True)
