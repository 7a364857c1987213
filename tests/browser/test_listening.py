"""A click on a line plays that line, for every kind of file. The test measures the pitch of the tone at that place."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests import recordings
from tests.browser.stage import Stage
from tests.site import Site
from tests.visitor import Visitor

SECONDS = 34
# The tones of a recording, of one second each: start in seconds → pitch in Hz. Silence is between them.
TONES = {3: 500, 11: 1000, 20: 1500, 29: 2000}
ORDER = (29, 3, 20)  # clicks that move backwards and forwards
# Extension → container, codec, sample rate.
KINDS: dict[str, tuple[str, str, int]] = {
    "alac.m4a": ("ipod", "alac", 16_000),
    "aiff": ("aiff", "pcm_s16be", 16_000),
    "caf": ("caf", "pcm_s16be", 16_000),
    "amr": ("amr", "libopencore_amrnb", 8_000),
    "3gp": ("3gp", "libopencore_amrnb", 8_000),
    "wma": ("asf", "wmav2", 16_000),
    "ac3": ("ac3", "ac3", 48_000),
    "mp2": ("mp2", "mp2", 16_000),
    "ts": ("mpegts", "mp2", 48_000),
    "adpcm.wav": ("wav", "adpcm_ima_wav", 16_000),
    "aac": ("adts", "aac", 16_000),
    "wav": ("wav", "pcm_s16le", 16_000),
    "mp3": ("mp3", "libmp3lame", 44_100),
    "m4a": ("ipod", "aac", 44_100),
    "webm": ("webm", "libopus", 48_000),
}

LISTEN = """() => {
  const context = new AudioContext();
  const meter = context.createAnalyser();
  meter.fftSize = 4096;
  meter.smoothingTimeConstant = 0;
  context.createMediaElementSource(document.querySelector("audio")).connect(meter);
  meter.connect(context.destination);
  window.meter = { context, meter, bins: new Float32Array(meter.frequencyBinCount) };
}"""
# Return the first audible pitch after a click and the player's position at that moment; null while there is none.
FIRST_TONE = """() => {
  const { context, meter, bins } = window.meter;
  const audio = document.querySelector("audio");
  if (audio.paused || audio.seeking) return null;
  meter.getFloatFrequencyData(bins);
  const loudest = bins.reduce((best, level, bin) => (level > bins[best] ? bin : best), 0);
  if (bins[loudest] < -60) return null;
  return { hz: (loudest * context.sampleRate) / meter.fftSize, at: audio.currentTime };
}"""


@pytest.fixture(scope="module")
def site(still_site: Site) -> Site:
    return still_site


def tones(rate: int) -> np.ndarray:
    samples = np.zeros(SECONDS * rate)
    for start, hz in TONES.items():
        samples[start * rate : (start + 1) * rate] = 0.5 * np.sin(2 * np.pi * hz * np.arange(rate) / rate)
    return (samples * 32767).astype("<i2")


def write(path: Path, container: str, codec: str, rate: int) -> Path:
    with av.open(str(path), "w", format=container) as writer:
        stream = writer.add_stream(codec, rate=rate, layout="mono")
        if codec in recordings.BIT_RATES:
            stream.bit_rate = recordings.BIT_RATES[codec]
        stream.codec_context.open()
        size = 0 if codec.startswith("pcm") else stream.codec_context.frame_size
        resampler = av.AudioResampler(stream.format, "mono", rate, frame_size=size or None)
        frame = av.AudioFrame.from_ndarray(tones(rate).reshape(1, -1), "s16", "mono")
        frame.sample_rate = rate
        written = 0
        for source in (frame, None):
            for part in resampler.resample(source):
                part.pts, part.time_base = written, Fraction(1, rate)
                written += part.samples
                writer.mux(stream.encode(part))
        writer.mux(stream.encode(None))
    return path


@pytest.fixture
def open_job(site: Site, new_page: Callable[..., Page]) -> Callable[[Path], Stage]:
    def open_job(path: Path) -> Stage:
        with Visitor(site) as visitor:
            job = visitor.start(visitor.upload(path))
        stage = Stage(new_page(), job).open()
        stage.job["duration"] = float(SECONDS)
        for start in TONES:
            stage.final(float(start), f"Tone of {TONES[start]} Hz.")
        expect(stage.page.locator(f"#s{stage.seq}")).to_be_attached()
        return stage

    return open_job


def played(page: Page, number: int) -> dict[str, Any]:
    """Click a line. Returns the first audible pitch after it (`hz`) and the player's position at that moment (`at`)."""
    page.locator(f"#s{number} .text").click()
    return page.wait_for_function(FIRST_TONE, polling=10).json_value()


def check_clicks(page: Page) -> None:
    page.evaluate(LISTEN)
    for start in ORDER:
        heard = played(page, 1 + list(TONES).index(start))
        assert heard["hz"] == pytest.approx(TONES[start], abs=40), f"the line at {start} s"
        assert heard["at"] == pytest.approx(start, abs=0.25)
        page.keyboard.press("k")
        page.wait_for_function("document.querySelector('audio').paused")
        # Wait for silence: the next click would otherwise find this tone in the meter.
        page.wait_for_function(
            "() => { const { meter, bins } = window.meter; meter.getFloatFrequencyData(bins);"
            " return bins.every((level) => level < -60); }"
        )


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_click_on_a_segment_plays_its_audio_in_every_format(
    kind: str, open_job: Callable[[Path], Stage], tmp_path: Path
) -> None:
    path = write(tmp_path / f"tones.{kind}", *KINDS[kind])
    check_clicks(open_job(path).page)
