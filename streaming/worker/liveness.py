"""Detect dead workers on this machine, so that their jobs can be claimed without waiting for the lease.

Each worker has a folder for its spools, with a lock file that it holds locked. The operating system releases the lock
however the process ends, so a free lock means a dead worker. Machines may share the data folder, and a lock held by
another machine may look free here. Therefore the lock file names the boot of the machine that wrote it, and only
workers of the same boot are checked. Jobs of other machines' dead workers are claimed when their leases expire.
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

OLD_SECONDS = 24 * 3600.0  # age of a lock file that no live worker reaches: it touches the file every few seconds


class Worker:
    """The name and folder of a worker. As a context manager it holds the lock, and deletes the folder at the end."""

    def __init__(self) -> None:
        self.name = uuid.uuid4().hex
        self.folder = folder_of(self.name)
        self._lock: IO[bytes] | None = None

    def __enter__(self) -> "Worker":
        # Lock it under a temporary name: under its final name, other workers must never find it unlocked.
        new = self.folder.with_name(f"new-{self.folder.name}")
        new.mkdir(parents=True)
        self._lock = open(new / "lock", "wb")
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._lock.write(boot_id().encode())
        self._lock.flush()
        new.rename(self.folder)
        return self

    def check_workers(self) -> list[str]:
        """Return the names of dead workers. Touches this worker's lock file, and removes old folders."""
        with suppress(OSError):  # the disk is unavailable; the next call tries again
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
    """Return the folder of the worker of this name."""
    return Path(settings.DATA_DIR) / "workers" / name


@cache
def boot_id() -> str:
    """Return an identifier of this machine's current boot, unique among machines; empty if unknown.

    Containers on one machine share it, as they share file locks.
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
            continue  # the lock is held: the worker lives
        except FileNotFoundError:
            continue  # the worker ended normally since the folder was listed
        except OSError as error:
            # No permission, or a file system without locks. The worker's jobs are claimed when their leases expire.
            logger.warning("Could not check whether the worker of %s is alive: %s", lock, error)
    return dead


def remove_folders(names: list[str]) -> None:
    """Remove the folders of dead workers, with their spools."""
    for name in names:
        shutil.rmtree(folder_of(name), ignore_errors=True)


def remove_old_folders() -> None:
    """Remove the folders of workers of other boots that have not touched their lock file for a day.

    Otherwise the spools of a machine that restarted or was retired would fill the disk. Keeps folders with an empty
    lock file: an older version wrote it and does not touch it.
    """
    for lock in (Path(settings.DATA_DIR) / "workers").glob("*/lock"):
        with suppress(OSError):  # its worker or another one has removed the folder meanwhile
            is_old = time.time() - lock.stat().st_mtime > OLD_SECONDS
            if is_old and lock.read_bytes() not in (b"", boot_id().encode()):
                shutil.rmtree(lock.parent, ignore_errors=True)
