"""Storing files that the server has made, such as listening copies."""

import os
import shutil
import uuid
from pathlib import Path

import pytest

from uploads.files import storage as file_storage
from uploads.models import Upload


def test_put_stores_a_whole_file_from_another_disk(storage: Path, tmp_path: Path) -> None:
    other = Path("/dev/shm")
    if not os.access(other, os.W_OK) or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("There is no second disk here.")
    folder = Path(shutil.copytree(tmp_path, other / f"transcribe-{uuid.uuid4()}"))
    try:
        (folder / "source").write_bytes(b"whole")
        file_storage.put(Upload._meta.get_field("file").storage, "listen/00/0.mp4", folder / "source")
        assert [path.name for path in (storage / "media").rglob("*") if path.is_file()] == ["0.mp4"]
        assert (storage / "media/listen/00/0.mp4").read_bytes() == b"whole"
    finally:
        shutil.rmtree(folder)
