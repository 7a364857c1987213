"""Mixing several channels to one keeps the speech, whatever the polarity of each channel."""

from pathlib import Path

import av
import numpy as np
import pytest

from tests import recordings
from tests.uploads.decoder.test_audio_track import RATE, samples_of

NOISE = np.random.default_rng(3)


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return samples_of(recordings.speech())[:, 0] / 2


def mixed(name: str, *channels: np.ndarray) -> np.ndarray:
    path = recordings.write_wav(f"downmix-{name}", np.stack(channels, axis=1).round(), RATE)
    return samples_of(path)[:, 0]


def share(found: np.ndarray, wanted: np.ndarray) -> float:
    """Return the gain of `wanted` in `found`: 1 for unchanged, negative for reversed polarity."""
    return float(found @ wanted / (wanted @ wanted))


def noise(like: np.ndarray, loudness: float) -> np.ndarray:
    return NOISE.normal(0, loudness, len(like))


def test_equal_channels_are_mixed_to_the_same(speech: np.ndarray) -> None:
    assert np.abs(mixed("equal", speech, speech) - speech).max() <= 1


def test_a_reversed_channel_does_not_cancel_speech(speech: np.ndarray) -> None:
    assert share(mixed("reversed", speech, -speech), speech) > 0.99
    assert share(mixed("reversed-first", -speech, speech), -speech) > 0.99


@pytest.mark.parametrize("loudness", [0.3, 0.9, 1.1])
def test_a_reversed_channel_of_other_loudness_does_not_cancel_speech(speech: np.ndarray, loudness: float) -> None:
    assert abs(share(mixed(f"reversed-{loudness}", speech, -loudness * speech), speech)) > 0.5


def test_a_reversed_channel_with_noise_of_its_own_does_not_cancel_speech(speech: np.ndarray) -> None:
    found = mixed("noisy", speech + noise(speech, 300), -speech + noise(speech, 300))
    assert abs(share(found, speech)) > 0.95


def test_hum_in_phase_does_not_hide_reversed_speech(speech: np.ndarray) -> None:
    hum = 8_000 * np.sin(2 * np.pi * 50 * np.arange(len(speech)) / RATE)
    assert abs(share(mixed("hum", hum + speech, hum - speech), speech)) > 0.9


def test_a_channel_that_is_reversed_from_the_middle_on_does_not_cancel_speech(speech: np.ndarray) -> None:
    polarity = np.where(np.arange(len(speech)) < 5 * RATE, 1, -1)
    found = mixed("middle", speech, polarity * speech)
    for second in range(9):
        part = slice(second * RATE, (second + 1) * RATE)
        assert share(found[part], speech[part]) > (0.7 if second == 5 else 0.95), second


def test_a_change_of_polarity_causes_no_click() -> None:
    tone = 8_000 * np.sin(2 * np.pi * 300 * np.arange(4 * RATE) / RATE)
    polarity = np.where(np.arange(len(tone)) < 2 * RATE, 1, -1)
    steps = np.abs(np.diff(mixed("click", tone, polarity * tone)))
    assert steps.max() < 1.2 * np.abs(np.diff(tone)).max()


def test_the_mix_contains_both_speakers_of_two_channels(speech: np.ndarray) -> None:
    other = np.roll(speech, 3 * RATE)
    found = mixed("two", speech, other)
    assert share(found, speech) == pytest.approx(0.5, abs=0.1)
    assert share(found, other) == pytest.approx(0.5, abs=0.1)


def test_a_silent_channel_does_not_weaken_speech(speech: np.ndarray) -> None:
    for name, channels in (("left", (speech, 0 * speech)), ("right", (0 * speech, speech))):
        assert share(mixed(f"dead-{name}", *channels), speech) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("milliseconds", [0.25, 0.5, 1, 10])
def test_a_delayed_channel_does_not_cancel_speech(speech: np.ndarray, milliseconds: float) -> None:
    found = mixed(f"delayed-{milliseconds}", speech, np.roll(speech, round(milliseconds * RATE / 1_000)))
    assert (found @ found) > 0.4 * (speech @ speech)


def test_mid_side_channels_do_not_cancel_speech(speech: np.ndarray) -> None:
    assert share(mixed("middle-side", speech, 0.3 * noise(speech, 1_000)), speech) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("count", [3, 4, 6, 8])
def test_reversed_channels_among_many_do_not_cancel_speech(speech: np.ndarray, count: int) -> None:
    channels = [speech if number % 2 else -speech for number in range(count)]
    assert abs(share(mixed(f"many-{count}", *channels), speech)) > 0.9


def test_speech_in_the_centre_of_surround_is_loudest(speech: np.ndarray, tmp_path: Path) -> None:
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 6 * len(speech)), np.int16), "s16", "5.1")
    samples = np.zeros((len(speech), 6), np.int16)
    samples[:, 2] = speech.round()
    frame.planes[0].update(samples.tobytes())
    frame.sample_rate, frame.pts = RATE, 0
    with av.open(str(tmp_path / "surround.wav"), "w") as writer:
        stream = writer.add_stream("pcm_s16le", rate=RATE, layout="5.1")
        writer.mux([*stream.encode(frame), *stream.encode(None)])
    found = samples_of(tmp_path / "surround.wav")[:, 0]
    assert share(found, speech) == pytest.approx(1 / 3.414, abs=0.01)


def test_two_requested_channels_are_not_mixed(speech: np.ndarray) -> None:
    path: Path = recordings.write_wav("stereo-stays", np.stack((speech, -speech), axis=1).round(), RATE)
    both = samples_of(path, channels=2)
    assert np.array_equal(both[:, 0], speech.round())
    assert np.array_equal(both[:, 1], -speech.round())
