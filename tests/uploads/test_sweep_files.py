"""`manage.py sweep_files` removes files that belong to no recording, and nothing else."""

import os
import time
import uuid
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from tests import recordings as made
from tests.s3 import KEYS, Bucket
from uploads.management.commands import sweep_files
from uploads.models import Upload, stored_name

Stored = Callable[..., Upload]
pytestmark = pytest.mark.django_db


def sweep(*arguments: str) -> list[str]:
    out = StringIO()
    call_command("sweep_files", *arguments, stdout=out)
    return out.getvalue().splitlines()


def orphan() -> str:
    return stored_name(Upload(id=uuid.uuid4()), "")


def test_sweep_removes_old_files_without_a_recording_and_nothing_else(stored: Stored, storage: Path) -> None:
    kept, old, young = stored(made.tone(1.0)).file.name, orphan(), orphan()
    stranger = "uploads/00/notes.txt"
    for name in (old, young, stranger):
        path = storage / "media" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("left behind")
    for name in (kept, old, stranger):
        two_days_ago = time.time() - 2 * 24 * 3600
        os.utime(storage / "media" / name, (two_days_ago, two_days_ago))
    assert sweep("--dry-run") == [f"would remove {old}"]
    assert sweep() == [f"removed {old}"]
    assert [(storage / "media" / name).exists() for name in (kept, old, young, stranger)] == [True, False, True, True]
    assert sweep() == []


def test_sweep_removes_nothing_from_an_empty_storage(storage: Path) -> None:
    assert sweep() == []


def test_sweep_works_on_a_bucket_and_fails_with_a_sentence_when_it_is_unreachable(
    bucket: Bucket, stored: Stored, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    options = {"bucket_name": bucket.name, "endpoint_url": bucket.gate.url, "region_name": None}
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {"BACKEND": "uploads.files.s3.BucketStorage", "OPTIONS": options},
    }
    kept, left = stored(made.tone(1.0)).file.name, orphan()
    bucket.client.put_object(Bucket=bucket.name, Key=left, Body=b"left behind")
    assert sweep() == [], "a file younger than a day stays"
    monkeypatch.setattr(sweep_files, "AGE", -sweep_files.AGE)
    assert sweep() == [f"removed {left}"]
    assert bucket.names() == [kept]
    bucket.gate.shut()
    with pytest.raises(CommandError, match="can't be reached now"):
        sweep()
