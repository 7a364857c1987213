import pytest

from uploads import file_types


@pytest.mark.parametrize(
    ("head", "sentence"),
    [
        (b"\x89PNG\r\n\x1a\n", "This is a PNG image."),
        (b"%PDF-1.7\n", "This is a PDF document."),
        (b"PK\x03\x04\x14\x00", "This is a ZIP archive or an office document."),
        (b"#EXTM3U\n", "This is a playlist, which only names recordings that are elsewhere."),
        (b"\xef\xbb\xbf\r\n<!DOCTYPE html>", "This is a web page."),
        ("Grüße, ohne Ton\n".encode(), "This is a text file."),
        (
            b"\x00\x00\x00\x20ftypM4A ",
            "This file is incomplete. Please upload it again.",
        ),
        (b"\x00\x01\x02\x03\x80\xff", None),
    ],
)
def test_says_what_a_file_is(head: bytes, sentence: str | None) -> None:
    assert file_types.what_it_is(head) == sentence


def test_every_container_has_a_short_name_and_a_type_that_a_player_takes() -> None:
    for short, content_type in file_types.CONTAINERS.values():
        assert file_types.content_type(short) == content_type
        assert content_type.startswith(("audio/", "video/"))


def test_a_container_that_is_not_listed_is_served_as_bytes() -> None:
    assert file_types.container_name("tta", "tta") == "tta"
    assert file_types.content_type("tta") == "application/octet-stream"


def test_only_what_browsers_play_is_called_webm() -> None:
    assert [file_types.container_name("matroska,webm", codec) for codec in ("opus", "aac")] == ["webm", "matroska"]
    assert [file_types.content_type(name) for name in ("webm", "matroska")] == ["audio/webm", "video/x-matroska"]
