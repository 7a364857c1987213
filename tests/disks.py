"""Fills a disk for tests of full disks. The fixture `small_disk` mounts a small one."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def filled(disk: Path, free_bytes: int = 0) -> Iterator[None]:
    """Fill a disk except for `free_bytes` while the context lasts."""
    content = disk / "content"
    with suppress(OSError), open(content, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    with open(content, "rb+") as file:
        file.truncate(content.stat().st_size - free_bytes)
    try:
        yield
    finally:
        content.unlink()
