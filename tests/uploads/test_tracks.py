"""Recordings with several audio tracks: their descriptions, the chosen track, and decoding one track or all."""

from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest

from tests import multitrack, recordings
from tests.multitrack import Sound, silence, tone, write
from uploads import tracks
from uploads.decoder import client as decoder
from uploads.tracks import Track

pytestmark = pytest.mark.usefixtures("nothing_left")


def track(**changes: object) -> Track:
    values = {"codec": "aac", "language": "", "title": "", "sample_rate": 16_000, "channels": 1}
    values |= {"is_default": False, "is_decodable": True, "has_sound": True}
    return Track(**(values | changes))  # type: ignore[typeddict-item]


async def decoded(path: Path, chosen: str, tmp_path: Path) -> np.ndarray:
    target = tmp_path / "decoded.pcm"
    pieces = decoder.decode(path, target, sample_rate=multitrack.RATE, channels=1, track=chosen)
    async with aclosing(pieces):
        async for _ in pieces:
            pass
    return np.frombuffer(target.read_bytes(), "<i2").astype(float)


def level(samples: np.ndarray, hz: float, start: float, stop: float) -> float:
    """Return the amplitude of a tone between two moments (seconds), 1 being full scale."""
    part = samples[round(start * multitrack.RATE) : round(stop * multitrack.RATE)] / 32768
    times = np.arange(len(part)) / multitrack.RATE
    return float(2 * abs((part * np.exp(-2j * np.pi * hz * times)).mean()))


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "mov"])
def test_probe_describes_every_track(tmp_path: Path, suffix: str) -> None:
    sounds = [Sound(tone(300, 2.0), "Host", "eng", is_default=True), Sound(tone(700, 2.0), "Gäste", "ger")]
    found = decoder.probe(write(tmp_path / f"a.{suffix}", sounds))
    assert [(each["title"], each["language"], each["codec"]) for each in found.tracks] == [
        ("Host", "eng", "aac"),
        ("Gäste", "ger", "aac"),
    ]
    assert all(each["is_decodable"] and each["has_sound"] for each in found.tracks)
    assert found.track == 0


def test_probe_chooses_the_track_with_the_default_flag(tmp_path: Path) -> None:
    sounds = [Sound(tone(300, 2.0)), Sound(tone(700, 3.0), codec="flac", is_default=True)]
    found = decoder.probe(write(tmp_path / "a.mkv", sounds))
    assert (found.track, found.codec, found.duration) == (1, "flac", pytest.approx(3.0, abs=0.1))


def test_probe_does_not_choose_a_silent_track_even_with_the_default_flag(tmp_path: Path) -> None:
    sounds = [Sound(silence(40.0), is_default=True), Sound(silence(40.0)), Sound(tone(300, 2.0))]
    found = decoder.probe(write(tmp_path / "a.mkv", sounds))
    assert [each["has_sound"] for each in found.tracks] == [False, False, True]
    assert found.track == 2


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_probe_finds_sound_that_begins_late_in_a_track(tmp_path: Path, suffix: str) -> None:
    late = np.concatenate([silence(400.0), tone(300, 30.0), silence(100.0)])
    sounds = [Sound(silence(530.0)), Sound(late)]
    found = decoder.probe(write(tmp_path / f"a.{suffix}", sounds))
    assert [each["has_sound"] for each in found.tracks] == [False, True]
    assert found.track == 1


def test_probe_describes_a_track_that_cannot_be_decoded_but_does_not_choose_it(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.mkv", [Sound(tone(300, 2.0), "Odd", is_default=True), Sound(tone(700, 2.0), codec="flac")]
    )
    path.write_bytes(path.read_bytes().replace(b"A_AAC", b"A_QQQ", 1))
    found = decoder.probe(path)
    assert [each["is_decodable"] for each in found.tracks] == [False, True]
    assert found.tracks[0]["title"] == "Odd"
    assert (found.track, found.codec) == (1, "flac")
    with pytest.raises(tracks.UnknownTrack, match="can't be decoded"):
        tracks.check(found.tracks, "0")
    assert [note for note in tracks.rows(found.tracks, found.track)[0].notes] == ["can't be decoded", "default"]
    assert tracks.choices(found.tracks) == [("1", "Track 2")]


def test_probe_limits_titles_and_puts_them_on_one_line(tmp_path: Path) -> None:
    sounds = [Sound(tone(300, 1.0), "x" * 100_000), Sound(tone(300, 1.0), "a\nb\x1b[31m\u202ec")]
    found = decoder.probe(write(tmp_path / "a.mkv", sounds))
    assert [each["title"] for each in found.tracks] == ["x" * 100, "a b [31m c"]


def test_probe_describes_at_most_32_tracks(tmp_path: Path) -> None:
    sounds = [Sound(tone(300, 0.2), codec="pcm_s16le") for _ in range(tracks.MAX_TRACKS + 3)]
    assert len(decoder.probe(write(tmp_path / "a.mkv", sounds)).tracks) == tracks.MAX_TRACKS


async def test_decodes_each_track_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", [Sound(tone(300, 2.0)), Sound(tone(700, 2.0))])
    for chosen, own, other in (("0", 300, 700), ("1", 700, 300)):
        samples = await decoded(path, chosen, tmp_path)
        assert level(samples, own, 0.2, 1.8) == pytest.approx(0.3, abs=0.03)
        assert level(samples, other, 0.2, 1.8) < 0.01


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
async def test_mixes_all_tracks_on_one_timeline(tmp_path: Path, suffix: str) -> None:
    sounds = [Sound(tone(300, 4.0)), Sound(tone(700, 3.0), offset=3.0)]
    samples = await decoded(write(tmp_path / f"a.{suffix}", sounds), "all", tmp_path)
    assert len(samples) / multitrack.RATE == pytest.approx(6.0, abs=0.15)
    levels = {hz: [round(level(samples, hz, at + 0.2, at + 0.8), 1) for at in range(6)] for hz in (300, 700)}
    assert levels == {300: [0.3] * 4 + [0.0] * 2, 700: [0.0] * 3 + [0.3] * 3}


async def test_a_mix_that_is_too_loud_is_clipped_and_does_not_wrap(tmp_path: Path) -> None:
    loud = tone(300, 1.0, volume=0.9)
    path = write(tmp_path / "a.mkv", [Sound(loud, codec="pcm_s16le"), Sound(loud, codec="pcm_s16le")])
    samples = await decoded(path, "all", tmp_path)
    assert abs(samples).max() >= 32767
    assert np.sign(samples[np.abs(loud) > 3_000]).tolist() == np.sign(loud[np.abs(loud) > 3_000]).tolist()


async def test_a_mix_leaves_out_tracks_that_cannot_be_decoded(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", [Sound(tone(300, 2.0)), Sound(tone(700, 2.0), codec="flac")])
    path.write_bytes(path.read_bytes().replace(b"A_AAC", b"A_QQQ", 1))
    samples = await decoded(path, "all", tmp_path)
    assert level(samples, 700, 0.2, 1.8) == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([], 0),
        ([track()], 0),
        ([track(), track(is_default=True)], 1),
        ([track(is_default=True), track(is_default=True)], 0),
        ([track(has_sound=False, is_default=True), track()], 1),
        ([track(has_sound=False), track(has_sound=False, is_default=True)], 1),
        ([track(is_decodable=False, has_sound=None, is_default=True), track(has_sound=False)], 1),
    ],
)
def test_chooses_among_decodable_tracks_by_sound_and_flag(found: list[Track], expected: int) -> None:
    assert tracks.chosen(found) == expected


@pytest.mark.parametrize(("given", "expected"), [(None, ""), ("", ""), (1, "1"), ("02", "2"), ("all", "all")])
def test_parses_a_track_as_an_index_or_all(given: object, expected: str) -> None:
    assert tracks.parse(given) == expected


@pytest.mark.parametrize("given", [True, -1, "-1", 1.0, "one", "²", [], {}, "ALL", 10**9])
def test_refuses_a_track_that_is_neither_an_index_nor_all(given: object) -> None:
    with pytest.raises(tracks.UnknownTrack):
        tracks.parse(given)


def test_a_recording_without_descriptions_has_one_track() -> None:
    tracks.check([], "0")
    tracks.check([], "all")
    with pytest.raises(tracks.UnknownTrack, match="one audio track"):
        tracks.check([], "1")


# FFmpeg spreads one channel over two at -3 dB each.
@pytest.mark.parametrize(("channels", "gain"), [(1, 2.0), (2, 2**0.5)])
async def test_a_track_that_is_an_inverted_copy_of_another_does_not_cancel_the_speech(
    tmp_path: Path, channels: int, gain: float
) -> None:
    speech = multitrack.samples_of(recordings.speech()) // 2
    path = write(tmp_path / "inverted.mkv", [Sound(speech, codec="pcm_s16le"), Sound(-speech, codec="pcm_s16le")])
    target = tmp_path / "spool"
    async for _ in decoder.decode(path, target, sample_rate=multitrack.RATE, channels=channels, track="all"):
        pass
    found = np.fromfile(target, "<i2").reshape(-1, channels).astype(float)
    assert len(found) == len(speech)
    for side in found.T:
        assert side @ speech / (speech.astype(float) @ speech) == pytest.approx(gain, abs=0.03), "both tracks are added"
