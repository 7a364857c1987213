"""Fixtures and helpers for tests of recordings: a storage for each test, stored recordings, and more."""

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.core.files import File
from django.http import HttpResponse
from pytest_django.fixtures import Settings

from tests.recordings import speech
from uploads import recordings
from uploads.models import Upload


@pytest.fixture(autouse=True)
def storage(settings: Settings, tmp_path: Path) -> Path:
    """The folder that holds all files of a test: stored recordings in `media`, incoming uploads in `incoming`."""
    (tmp_path / "incoming").mkdir()
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path / "incoming"
    return tmp_path


@pytest.fixture
def files(storage: Path) -> Callable[[], list[str]]:
    """A function that lists the names of all stored and incoming files."""

    def files() -> list[str]:
        folders = (storage / "media", storage / "incoming")
        return sorted(path.name for folder in folders for path in folder.rglob("*") if path.is_file())

    return files


@pytest.fixture
def stored(alice: User) -> Callable[..., Upload]:
    """A function that stores a recording for Alice through `recordings.store`, as the upload view does."""

    def stored(path: Path | None = None, name: str = "interview.wav", owner: User = alice, **changes: Any) -> Upload:
        with open(path or speech(), "rb") as file:
            upload = recordings.store(owner, File(file), name)
        if changes:
            Upload.objects.filter(pk=upload.pk).update(**changes)
            upload.refresh_from_db()
        return upload

    return stored


def messages_of(response: HttpResponse) -> list[str]:
    """Return the messages that the next page shows."""
    return [str(message) for message in get_messages(response.wsgi_request)]


def decoders() -> list[int]:
    """Return the process ids of this process's decoders, including zombies that were not reaped."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            # Other children belong to other tests: a Redis, a browser's driver. A zombie has no command line.
            is_decoder = state == "Z" or b"__main__.py" in (folder / "cmdline").read_bytes()
        except OSError:
            continue  # the process ended meanwhile
        if int(parent) == os.getpid() and is_decoder:
            found.append(int(folder.name))
    return found


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Fail a test that leaves a decoder or an open file behind."""
    gc.collect()  # close files that an earlier test no longer references
    children, descriptors = set(decoders()), _descriptors()
    yield
    assert set(decoders()) <= children
    # Compare only new descriptors: a thread of an earlier test may have closed an old one meanwhile.
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
