"""Renaming and deleting recordings: a deleted recording leaves no file."""

from pathlib import Path

import pytest
from django.db import OperationalError
from pytest_django import DjangoCaptureOnCommitCallbacks

from tests.uploads.test_recordings import Files, Stored, full_database
from uploads import recordings
from uploads.models import Upload
from uploads.recordings import RecordingRefused


def test_renaming_keeps_a_typed_name_without_characters_that_deceive(stored: Stored) -> None:
    upload = stored()
    recordings.rename(upload, "  Grüße / 🎙️\u202e.wav ")
    upload.refresh_from_db()
    assert upload.name == "Grüße / 🎙️.wav"


@pytest.mark.parametrize("name", ["", "   ", "\u200b", "..."])
def test_refuses_a_new_name_without_visible_characters(stored: Stored, name: str) -> None:
    upload = stored()
    with pytest.raises(RecordingRefused, match="A recording needs a name"):
        recordings.rename(upload, name)
    upload.refresh_from_db()
    assert upload.name == "interview.wav"


def test_renaming_a_deleted_recording_is_refused_with_404(stored: Stored) -> None:
    upload = stored()
    Upload.objects.all().delete()
    with pytest.raises(RecordingRefused, match="was deleted") as refused:
        recordings.rename(upload, "later.wav")
    assert refused.value.status == 404


def test_deletes_the_row_of_a_recording_first_and_its_file_after_the_commit(
    stored: Stored, files: Files, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    kept, upload = stored(), stored()
    with django_capture_on_commit_callbacks(execute=True):
        recordings.delete(upload)
        assert list(Upload.objects.all()) == [kept]
        assert len(files()) == 2
    assert files() == [str(kept.pk)]


def test_keeps_the_file_of_a_recording_whose_row_cannot_be_deleted(
    stored: Stored,
    files: Files,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    upload = stored()
    monkeypatch.setattr(Upload, "delete", full_database)
    with django_capture_on_commit_callbacks(execute=True), pytest.raises(OperationalError):
        recordings.delete(upload)
    assert files() == [str(upload.pk)]


def test_deletes_a_recording_whose_file_is_missing(
    stored: Stored, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    upload = stored()
    Path(upload.file.path).unlink()
    with django_capture_on_commit_callbacks(execute=True):
        recordings.delete(upload)
    assert not Upload.objects.exists()
