"""Storing recordings: which files are stored, which are refused and why, and that a refusal leaves no file."""

import errno
import hashlib
import io
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.files import File
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from django.core.files.uploadedfile import SimpleUploadedFile, TemporaryUploadedFile
from django.db import OperationalError
from pytest_django.fixtures import Settings

from tests import recordings as made
from uploads import recordings
from uploads.decoder import client as decoder
from uploads.models import Upload
from uploads.recordings import RecordingRefused

Stored = Callable[..., Upload]
Files = Callable[[], list[str]]


def refusal(owner: User, content: bytes | File, name: str = "talk.mp3") -> tuple[str, int]:
    """Try to store a file, and return the sentence and the status of its refusal."""
    with pytest.raises(RecordingRefused) as caught:
        recordings.store(owner, content if isinstance(content, File) else ContentFile(content), name)
    return str(caught.value), caught.value.status


def test_stores_a_recording_with_the_properties_that_decoding_found(alice: User, storage: Path) -> None:
    content = made.encode(made.speech(), "mp4").read_bytes()
    upload = recordings.store(alice, ContentFile(content), "Interview.MP4")
    upload.refresh_from_db()
    assert {field.name: getattr(upload, field.name) for field in Upload._meta.fields} == {
        "id": upload.pk,
        "owner": alice,
        "name": "Interview.MP4",
        "file": f"uploads/{upload.pk.hex[:2]}/{upload.pk}",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "container": "mp4",
        "codec": "aac",
        "duration": pytest.approx(9.963, abs=0.1),
        "sample_rate": 16_000,
        "channels": 1,
        "track": 0,
        "undeclared_seconds": 0.0,
        "tracks": [
            {
                "codec": "aac",
                "language": "",
                "title": "",
                "sample_rate": 16_000,
                "channels": 1,
                "is_default": True,
                "is_decodable": True,
                "has_sound": None,
            }
        ],
        "is_playable": False,
        "undecodable_seconds": 0.0,
        "peaks": None,
        "created_at": upload.created_at,
    }
    path = storage / "media" / upload.file.name
    assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("suffix", ["wav", "mp3", "m4a", "aac", "flac", "ogg", "webm", "mkv", "avi"])
def test_stores_every_usual_format_under_a_misleading_name(alice: User, suffix: str) -> None:
    content = made.tone(1.0, suffix=suffix).read_bytes()
    assert recordings.store(alice, ContentFile(content), "document.pdf").duration == pytest.approx(1.0, abs=0.15)


def test_stores_files_from_memory_from_disk_and_from_an_upload(alice: User, files: Files, tmp_path: Path) -> None:
    content = made.tone(1.0).read_bytes()
    small = SimpleUploadedFile("a.wav", content, "text/plain")
    with TemporaryUploadedFile("b.wav", "audio/wav", len(content), None) as large, open(made.tone(1.0), "rb") as sample:
        large.write(content)
        large.seek(0)
        stored = [recordings.store(alice, file, "a.wav") for file in (small, large, File(sample))]
    assert {upload.sha256 for upload in stored} == {hashlib.sha256(content).hexdigest()}
    assert files() == sorted(str(upload.pk) for upload in stored)


def test_two_files_with_the_same_name_become_two_recordings(alice: User, stored: Stored, files: Files) -> None:
    first, second = stored(made.tone(1.0), "talk.wav"), stored(made.tone(2.0), "talk.wav")
    assert (first.name, second.name) == ("talk.wav", "talk.wav")
    assert files() == sorted([str(first.pk), str(second.pk)])
    assert (first.duration, second.duration) == (1.0, 2.0)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..", "a/../../b.wav", "C:\\x\\..\\b.wav"])
def test_no_file_name_changes_the_path_of_a_stored_file(alice: User, stored: Stored, storage: Path, name: str) -> None:
    upload = stored(made.tone(1.0), name)
    assert upload.name == name if name != ".." else "recording"
    assert Path(upload.file.path) == storage / "media" / "uploads" / upload.pk.hex[:2] / str(upload.pk)


@pytest.mark.parametrize("name", ["a" * 255 + ".wav", "🎙️" * 200, "\udc80.wav", "a\0b.wav", "a\u202ewav.exe", ""])
def test_stores_a_recording_under_any_file_name(alice: User, stored: Stored, name: str) -> None:
    upload = stored(made.tone(1.0), name)
    upload.refresh_from_db()
    upload.full_clean()
    assert upload.name


def test_a_truncated_recording_has_the_length_of_its_remaining_audio(alice: User) -> None:
    content = made.speech().read_bytes()[: 44 + 5 * 32_000]
    assert recordings.store(alice, ContentFile(content), "cut.wav").duration == pytest.approx(5.0, abs=0.1)


@pytest.mark.parametrize(
    ("content", "reason", "status"),
    [
        (b"", "This file is empty.", 400),
        (b"Dear Alice,\n" * 100, "This is a text file. Upload audio or video instead: WAV, MP3", 415),
        (b"%PDF-1.7\n" + bytes(5_000), "This is a PDF document. Upload audio or video instead", 415),
        (b"PK\x03\x04" + bytes(5_000), "This is a ZIP archive or an office document. Upload audio", 415),
        (b"#EXTM3U\nhttp://localhost/secret.mp3\n", "This is a playlist, which contains only links", 415),
        (bytes(range(256)) * 400, "We couldn't read this file as audio or video. Upload audio or video", 415),
        (made.video_without_sound().read_bytes(), "This is a video without an audio track. Upload audio", 415),
        (made.tone(0.05).read_bytes(), "This file contains almost no audio.", 415),
        (made.tone(1.0, suffix="m4a").read_bytes()[:4_000], "This file is incomplete. Please upload it again.", 415),
    ],
)
def test_refuses_a_file_that_is_not_a_recording_and_names_supported_formats(
    alice: User, files: Files, content: bytes, reason: str, status: int
) -> None:
    found, found_status = refusal(alice, content)
    assert found.startswith(reason)
    assert found_status == status
    assert files() == []
    assert not Upload.objects.exists()


def test_refuses_a_file_that_is_too_large_before_reading_it(alice: User, files: Files, settings: Settings) -> None:
    class Unread(File):
        def chunks(self, chunk_size: int | None = None) -> object:
            raise AssertionError("read")

    settings.MAX_UPLOAD_BYTES = 1024**2
    file = Unread(io.BytesIO(), "large.wav")
    file.size = 1024**2 + 1
    reason = "This file is larger than the limit of 1 MB. A compressed copy (M4A, MP3, OGG) may fit."
    assert refusal(alice, file) == (reason, 413)
    assert files() == []


def test_refuses_a_file_that_is_larger_than_its_declared_size(alice: User, files: Files, settings: Settings) -> None:
    settings.MAX_UPLOAD_BYTES = 20_000
    file = ContentFile(made.tone(1.0).read_bytes())
    file.size = 10_000
    assert refusal(alice, file)[1] == 413
    assert files() == []


def test_stores_a_file_of_exactly_the_largest_size(alice: User, settings: Settings) -> None:
    content = made.tone(1.0).read_bytes()
    settings.MAX_UPLOAD_BYTES = len(content)
    assert recordings.store(alice, ContentFile(content), "a.wav").size == len(content)


def test_refuses_a_recording_that_is_too_long(alice: User, files: Files, settings: Settings) -> None:
    settings.MAX_AUDIO_SECONDS = 3_600
    content = made.long_silence(3_601, rate=8_000).read_bytes()
    reason = "This recording is longer than 1 hour. Split it and upload each part."
    assert refusal(alice, content) == (reason, 413)
    assert files() == []


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def full_database(*_: object, **__: object) -> None:
    try:
        raise sqlite3.OperationalError("database or disk is full")
    except sqlite3.OperationalError as error:
        raise OperationalError(*error.args) from error


FULL = ("The server's disk is full. Nothing was stored; try again later.", 507)


@pytest.mark.parametrize("target", [(TemporaryUploadedFile, "__init__"), (FileSystemStorage, "_save")])
def test_refuses_a_recording_with_507_when_the_disk_is_full(
    alice: User, files: Files, monkeypatch: pytest.MonkeyPatch, target: tuple[type, str]
) -> None:
    monkeypatch.setattr(*target, full)
    assert refusal(alice, made.tone(1.0).read_bytes()) == FULL
    assert files() == []


def test_refuses_a_recording_with_507_when_the_disk_fills_up_while_it_is_copied(alice: User, files: Files) -> None:
    class Full(ContentFile):
        def chunks(self, chunk_size: int | None = None) -> object:
            yield b"RIFF"
            full()

    assert refusal(alice, Full(made.tone(1.0).read_bytes())) == FULL
    assert files() == []


def test_refuses_a_recording_with_507_when_the_disk_of_the_database_is_full(
    alice: User, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Upload, "save", full_database)
    assert refusal(alice, made.tone(1.0).read_bytes()) == FULL
    assert files() == []


def test_removes_the_file_of_a_recording_whose_row_cannot_be_stored(
    alice: User, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        assert len(files()) == 1  # the file was stored before the row
        raise OperationalError("the server closed the connection")

    monkeypatch.setattr(Upload, "save", broken)
    with pytest.raises(OperationalError):
        recordings.store(alice, ContentFile(made.tone(1.0).read_bytes()), "a.wav")
    assert files() == []


def test_refuses_a_recording_when_the_decoder_crashes(
    alice: User, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder, "DECODER", Path("/dev/null"))
    found, status = refusal(alice, made.tone(1.0).read_bytes())
    assert found.startswith("The decoder stopped in the middle of this file.")
    assert status == 415
    assert files() == []


def test_refuses_a_recording_with_503_when_no_decoder_can_be_started(
    alice: User, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    sentence = "The decoder can't be started. Try again in a while."
    assert refusal(alice, made.tone(1.0).read_bytes()) == (sentence, 503)
    assert files() == []


@pytest.mark.django_db(transaction=True)
def test_removes_the_file_of_an_owner_who_is_deleted_meanwhile(alice: User, files: Files) -> None:
    gone = User(pk=alice.pk + 1_000)
    assert refusal(gone, made.tone(1.0).read_bytes()) == ("Your account was deleted. Nothing was stored.", 403)
    assert files() == []
