"""What the tests of recordings share: a storage of their own, a way to store, and a view of running decoders."""

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files import File
from pytest_django.fixtures import Settings

from tests.recordings import speech
from uploads import recordings
from uploads.models import Upload


@pytest.fixture(autouse=True)
def storage(settings: Settings, tmp_path: Path) -> Path:
    """The folder that all files of a test go to, incoming ones too."""
    (tmp_path / "incoming").mkdir()
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path / "incoming"
    return tmp_path


@pytest.fixture
def files(storage: Path) -> Callable[[], list[str]]:
    """Lists the files that are stored or incoming."""

    def files() -> list[str]:
        folders = (storage / "media", storage / "incoming")
        return sorted(path.name for folder in folders for path in folder.rglob("*") if path.is_file())

    return files


@pytest.fixture
def stored(alice: User) -> Callable[..., Upload]:
    """Stores a recording for Alice, by the same road as the page does."""

    def stored(path: Path | None = None, name: str = "interview.wav", owner: User = alice, **changes: Any) -> Upload:
        with open(path or speech(), "rb") as file:
            upload = recordings.store(owner, File(file), name)
        if changes:
            Upload.objects.filter(pk=upload.pk).update(**changes)
            upload.refresh_from_db()
        return upload

    return stored


def decoders() -> list[int]:
    """Return the process ids of this process's decoders, dead ones that nobody waited for too."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            # Other tests have children too: a Redis, a browser's driver. A dead one has no command line any more.
            is_decoder = state == "Z" or b"__main__.py" in (folder / "cmdline").read_bytes()
        except OSError:
            continue  # it ended meanwhile
        if int(parent) == os.getpid() and is_decoder:
            found.append(int(folder.name))
    return found


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Fails a test that leaves a process or an open file behind."""
    gc.collect()  # files that an earlier test has dropped
    children, descriptors = set(decoders()), _descriptors()
    yield
    assert set(decoders()) <= children
    # What was open before may be closed meanwhile: a thread of an earlier test lets go of its connection.
    assert dict(_descriptors().items() - descriptors.items()) == {}


def _descriptors() -> dict[str, str]:
    found = {}
    for path in Path("/proc/self/fd").iterdir():
        try:
            target = os.readlink(path)
        except OSError:
            continue  # the descriptor of the listing itself
        if not target.startswith("/proc/"):
            found[path.name] = target
    return found
