"""Files that count as playable: every browser plays them at the right times. Others get a listening copy."""

from pathlib import Path

import pytest

from tests import recordings as made
from tests.uploads.listening_copies.conftest import FORMATS, Stored

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("path", "is_playable"),
    [
        (made.tone(1.0), True),
        (made.tone(1.0, channels=2, rate=44_100), True),
        (made.tone(1.0, channels=4), False),
        (made.encode(made.speech(), "flac"), True),
        *((made.encode(made.speech(), suffix), False) for suffix in sorted(FORMATS)),
    ],
)
def test_only_files_that_every_browser_plays_at_the_right_times_are_playable(
    path: Path, is_playable: bool, stored: Stored
) -> None:
    assert stored(path).is_playable is is_playable


@pytest.mark.parametrize("declared", [0, 0xFFFFFFFF, 32_002])
def test_a_wav_with_a_wrong_length_in_its_header_is_not_playable(declared: int, stored: Stored, tmp_path: Path) -> None:
    content = bytearray(made.tone(1.0).read_bytes())
    content[40:44] = declared.to_bytes(4, "little")
    (tmp_path / "cut.wav").write_bytes(content)
    assert stored(tmp_path / "cut.wav").is_playable is False
