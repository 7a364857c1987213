"""Durations, moments, sizes and file formats as the server writes them."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from tests.format_examples import CLOCKS, ESTIMATES, IN_WORDS, MOMENTS, SIZES, ZONE
from uploads.templatetags import formats


@pytest.mark.parametrize(
    ("function", "examples"),
    [
        (formats.clock, CLOCKS),
        (formats.in_words, IN_WORDS),
        (formats.estimate, ESTIMATES),
        (formats.size, SIZES),
    ],
)
def test_formats_a_number_as_the_shared_table_says(function, examples) -> None:  # type: ignore[no-untyped-def]
    assert [(number, function(number)) for number, _ in examples] == examples


def test_formats_moments_as_the_shared_table_says() -> None:
    found = [
        (at, now, formats.moment_in(ZoneInfo(ZONE), datetime.fromisoformat(at), datetime.fromisoformat(now)))
        for at, now, _ in MOMENTS
    ]
    assert found == MOMENTS


def test_names_the_zone_of_a_moment_on_a_page() -> None:
    assert formats.moment(datetime(2020, 3, 1, 12, 5, tzinfo=UTC)) == "1 Mar 2020 12:05 UTC"


def test_leaves_an_unknown_duration_or_moment_empty() -> None:
    assert (formats.clock(None), formats.moment(None)) == ("", "")


@pytest.mark.parametrize(
    ("container", "codec", "text"),
    [
        ("wav", "pcm_s16le", "WAV (16-bit PCM)"),
        ("wav", "pcm_f32le", "WAV (32-bit float PCM)"),
        ("wav", "pcm_u8", "WAV (8-bit unsigned PCM)"),
        ("au", "pcm_mulaw", "AU (µ-law)"),
        ("aiff", "pcm_s24be", "AIFF (24-bit PCM)"),
        ("mp3", "mp3", "MP3"),
        ("mp4", "aac", "MP4 (AAC)"),
        ("webm", "opus", "WebM (Opus)"),
        ("matroska", "vorbis", "Matroska (Vorbis)"),
        ("amr", "amr_nb", "AMR"),
    ],
)
def test_names_a_file_format_as_people_know_it(container: str, codec: str, text: str) -> None:
    assert formats.file_format(container, codec) == text


@pytest.mark.parametrize(("rate", "text"), [(8000, "8 kHz"), (44_100, "44.1 kHz"), (48_000, "48 kHz")])
def test_writes_a_sample_rate_in_kilohertz(rate: int, text: str) -> None:
    assert formats.kilohertz(rate) == text
