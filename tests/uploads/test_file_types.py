"""Identifying files that are not recordings, and the content types of recordings."""

import pytest

from uploads import file_types


@pytest.mark.parametrize(
    ("head", "sentence"),
    [
        (b"\x89PNG\r\n\x1a\n", "This is a PNG image."),
        (b"%PDF-1.7\n", "This is a PDF document."),
        (b"PK\x03\x04\x14\x00", "This is a ZIP archive or an office document."),
        (b"#EXTM3U\n", "This is a playlist, which contains only links to recordings."),
        (b"\xef\xbb\xbf\r\n<!DOCTYPE html>", "This is a web page."),
        ("Grüße, ohne Ton\n".encode(), "This is a text file."),
        (b"\x00\x00\x00\x20ftypM4A ", "This file is incomplete. Please upload it again."),
        (b"\x00\x01\x02\x03\x80\xff", None),
    ],
)
def test_identifies_a_file_that_is_not_a_recording_by_its_first_bytes(head: bytes, sentence: str | None) -> None:
    assert file_types.identify(head) == sentence


def test_every_container_has_a_short_name_and_an_audio_or_video_content_type() -> None:
    for short, content_type in file_types.CONTAINERS.values():
        assert file_types.content_type(short) == content_type
        assert content_type.startswith(("audio/", "video/"))


def test_an_unlisted_container_has_the_content_type_of_unknown_bytes() -> None:
    assert file_types.container_name("tta", "tta") == "tta"
    assert file_types.content_type("tta") == "application/octet-stream"


def test_matroska_counts_as_webm_only_with_the_codecs_of_webm() -> None:
    assert [file_types.container_name("matroska,webm", codec) for codec in ("opus", "aac")] == ["webm", "matroska"]
    assert [file_types.content_type(name) for name in ("webm", "matroska")] == ["audio/webm", "video/x-matroska"]
