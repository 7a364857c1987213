"""Cleaning the names of recordings."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploads import filenames

LETTERS = st.text(st.characters(codec=None, exclude_categories=()), max_size=600)


@pytest.mark.parametrize(
    ("given_name", "name"),
    [
        ("interview.wav", "interview.wav"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\windows\\talk.mp3", "talk.mp3"),
        ("C:\\Users\\alice\\talk.mp3", "talk.mp3"),
        ("/", "recording"),
        ("..", "recording"),
        ("", "recording"),
        ("   ", "recording"),
        ("\u200b\u200d", "recording"),
        (".hidden.mp3", "hidden.mp3"),
        ("talk\x00.mp3", "talk.mp3"),
        ("talk\r\nX-Header: 1.mp3", "talk X-Header: 1.mp3"),
        ("  two   spaces .mp3", "two spaces.mp3"),
        ("👩‍👩‍👧 Familie 🎙️.m4a", "👩‍👩‍👧 Familie 🎙️.m4a"),
        ("گفت‌وگو.ogg", "گفت‌وگو.ogg"),  # the joiner inside belongs to the spelling
        ("talk\u202e3pm.exe", "talk3pm.exe"),
        ("half\ud83d.mp3", "half.mp3"),
        ("<script>alert(1)</script>.mp3", "script>.mp3"),
        ("a" * 300, "a" * 255),
        ("a" * 300 + ".flac", "a" * 250 + ".flac"),
        ("🎙" * 300 + ".mp3", "🎙" * 251 + ".mp3"),
        ("a." + "b" * 300, "a." + "b" * 253),
    ],
)
def test_keeps_a_file_name_but_drops_folders_and_characters_that_deceive(given_name: str, name: str) -> None:
    assert filenames.of_file(given_name) == name


def test_a_download_name_has_dashes_for_slashes() -> None:
    assert filenames.cleaned("AC/DC, 3\\4.mp3") == "AC-DC, 3-4.mp3"


TYPED = [
    "Interview \"final\" 'draft'.wav",
    "AC/DC, 3\\4.mp3",
    "100% %22 %0A &quot; &amp; <b>.wav",
    "…and then.wav",
    ".hidden.wav",
    "C:\\talks\\new.wav",
    "家族 🎙️ 👩‍👩‍👧.m4a",
    "مقابلة مع الجدة.ogg",
    "ראיון.wav",
    "a" * 255,
]


@pytest.mark.parametrize("name", TYPED)
def test_keeps_a_typed_name_unchanged(name: str) -> None:
    assert filenames.typed(name) == name


@pytest.mark.parametrize(
    ("given_name", "name"),
    [
        ("two\r\nlines.wav", "two lines.wav"),
        ("\u202egnp.wav", "gnp.wav"),
        ("x" * 300 + ".wav", "x" * 251 + ".wav"),
        ("  spaced  ", "spaced"),
        ("...", ""),
    ],
)
def test_cuts_a_typed_name_and_drops_only_characters_that_deceive(given_name: str, name: str) -> None:
    assert filenames.typed(given_name) == name


def test_a_name_without_visible_characters_becomes_empty() -> None:
    assert [filenames.cleaned(text) for text in ("", " \t", "\u2060", "...", "\u202e", "\u3164 \u2800")] == [""] * 6


@given(LETTERS)
def test_every_file_name_becomes_one_that_can_be_stored_and_cleaned_again(text: str) -> None:
    name = filenames.of_file(text)
    assert 1 <= len(name) <= 255
    assert name.encode()
    assert not {"/", "\\", "\0"} & set(name)
    assert not {unicodedata.category(letter) for letter in name} & {"Cc", "Cs", "Zl", "Zp"}
    assert not set(name) & filenames.BIDI_CONTROLS
    assert name not in {".", ".."}
    assert filenames.of_file(name) == name
