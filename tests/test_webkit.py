"""The main path in WebKit, the engine of Safari: sign in, upload, transcribe, watch the text, and play a line."""

import os
import shutil
import subprocess
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selenium.webdriver import WebKitGTK
from selenium.webdriver.common.by import By
from selenium.webdriver.webkitgtk.options import Options
from selenium.webdriver.webkitgtk.service import Service

from tests import recordings
from tests.site import Site, wait_until
from tests.visitor import rows

PROGRAMS = ("WebKitWebDriver", "Xvfb")
MINIBROWSERS = "/usr/lib/*/webkit2gtk-4.1/MiniBrowser"
WAIT_SECONDS = 120.0  # a generous limit, because the machine may be busy with other tests
JOB_SECONDS = 240.0
# The pilot tone starts at 12 kHz, above the voices and the band of the recogniser, and rises by 150 Hz a second.
PILOT_HZ, PILOT_RISE = 12_000, 150
CUT_SECONDS = 2 * 1024**2 / (4 * 48_000)  # 2 MiB of the recording are 10.9 s

# WebKit's automation gives no access to the console, so the page collects its errors.
NOTE_ERRORS = """
window.errors = [];
for (const name of ["error", "unhandledrejection", "securitypolicyviolation"])
  window.addEventListener(name, (event) => errors.push(`${name} ${event.message ?? event.reason ?? event.blockedURI}`));
"""

# Web Audio measures the pitch of the pilot tone, so the test knows which part of the recording is audible.
LISTEN = """
const context = new AudioContext();
const meter = context.createAnalyser();
meter.fftSize = 8192;
context.createMediaElementSource(document.querySelector("audio")).connect(meter);
meter.connect(context.destination);
document.addEventListener("click", () => context.resume());
window.listening = { context, meter, bins: new Float32Array(meter.frequencyBinCount) };
"""
AUDIBLE = """
const [lowest] = arguments;
const { context, meter, bins } = window.listening;
meter.getFloatFrequencyData(bins);
const hz = context.sampleRate / meter.fftSize;
let loudest = Math.floor(lowest / hz);
for (let bin = loudest; bin < bins.length; bin += 1) if (bins[bin] > bins[loudest]) loudest = bin;
return { hz: loudest * hz, at: document.querySelector("audio").currentTime };
"""


@pytest.fixture
def display() -> Iterator[str]:
    """The display of an X server for this test. The server chooses a free display number."""
    ours, theirs = os.pipe()
    with os.fdopen(ours) as chosen:
        server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(theirs), "-screen", "0", "1280x900x24", "-nolisten", "tcp"],
            pass_fds=[theirs],
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs)
        number = chosen.readline().strip()
    assert number, "Xvfb did not start"
    yield f":{number}"
    server.terminate()
    server.wait()


@pytest.fixture
def webkit(display: str, tmp_path: Path) -> Iterator[WebKitGTK]:
    options = Options()
    options.binary_location = minibrowser()
    options.add_argument("--automation")
    home = tmp_path / "home"
    home.mkdir()
    environment = os.environ | {"DISPLAY": display, "HOME": str(home)}
    driver = WebKitGTK(options=options, service=Service(shutil.which("WebKitWebDriver"), env=environment))
    driver.set_script_timeout(WAIT_SECONDS)
    yield driver
    driver.quit()


def minibrowser() -> str:
    """Return the path of WebKitGTK's MiniBrowser, or an empty string if it is not installed."""
    return next((str(path) for path in Path("/").glob(MINIBROWSERS[1:])), "")


def with_pilot(folder: Path) -> Path:
    """Return speech in stereo (8.5 MB) with a quiet tone whose pitch shows the position in the recording."""
    with wave.open(str(recordings.speech("two_cities"))) as reader:
        settings = reader.getparams()._replace(nchannels=2)
        speech = np.frombuffer(reader.readframes(settings.nframes), "<i2").astype(float)
    times = np.arange(len(speech)) / settings.framerate
    pilot = 800 * np.sin(2 * np.pi * (PILOT_HZ * times + PILOT_RISE * times**2 / 2))
    path = folder / "pilot.wav"
    with wave.open(str(path), "wb") as writer:
        writer.setparams(settings)
        writer.writeframes(np.repeat(np.clip(speech + pilot, -32768, 32767), 2).astype("<i2").tobytes())
    return path


class Visit:
    """Drives the browser as a person does."""

    def __init__(self, driver: WebKitGTK, site: Site) -> None:
        self.driver = driver
        self.site = site

    def open(self, address: str) -> None:
        self.driver.get(self.site.url + address)
        self.run(NOTE_ERRORS)

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def wait(self, expression: str, seconds: float = WAIT_SECONDS) -> None:
        wait_until(lambda: self.run(f"return Boolean({expression})"), seconds, expression)

    def click(self, selector: str) -> None:
        self.wait(f"document.querySelector({selector!r})")
        self.driver.find_element(By.CSS_SELECTOR, selector).click()

    def type(self, selector: str, text: str) -> None:
        self.driver.find_element(By.CSS_SELECTOR, selector).send_keys(text)

    def check_errors(self) -> None:
        assert self.run("return window.errors") == []


@pytest.mark.filterwarnings(
    "ignore:setting remote_server_addr:DeprecationWarning"
)  # Selenium calls its own deprecated API
@pytest.mark.skipif(
    not all(map(shutil.which, PROGRAMS)) or not minibrowser(),
    reason="WebKit's browser, its driver or Xvfb is missing (on Debian: sh tests/need_webkit.sh as root).",
)
def test_webkit_uploads_a_recording_shows_its_transcript_live_and_plays_from_a_line(
    webkit: WebKitGTK, site: Site, tmp_path: Path
) -> None:
    visit = Visit(webkit, site)
    visit.open("/accounts/login/")
    visit.type("[name=username]", "admin")
    visit.type("[name=password]", "wonderland")
    visit.click("main .actions .primary")
    visit.wait("location.pathname === '/'")

    visit.open("/")
    visit.type("#files", str(with_pilot(tmp_path)))
    visit.wait("document.querySelector(\".sending[data-state='done'] a[href]\")")
    visit.check_errors()
    visit.open(visit.run("return new URL(document.querySelector('.sending a[href]').href).pathname"))
    visit.click("form.start .primary")
    visit.wait("location.pathname.startsWith('/jobs/') && document.readyState === 'complete'")
    visit.run(NOTE_ERRORS)
    # Text arrives over the WebSocket while the job runs.
    visit.wait("document.querySelector('.state[data-status=running]') && document.querySelector('.segment .text')")
    visit.wait("document.querySelector('.state[data-status=completed]')", JOB_SECONDS)

    # Regression: after a seek over more than 2 MiB, WebKit played from 2 MiB after the earlier position.
    lines = rows(site, "select seq, start_time from streaming_segment order by seq")
    near = next(line for line in lines if line[1] > 1)
    far = [line for line in lines if line[1] > near[1] + 1.5 * CUT_SECONDS]
    assert len(far) >= 2, lines
    visit.run(LISTEN)
    for seq, start in (near, far[-1], near, far[0]):
        play(visit, seq, start)
    visit.check_errors()


def play(visit: Visit, seq: int, start: float) -> None:
    """Click a line, and assert that the player seeks to it and that its audio becomes audible."""
    visit.click(f"#s{seq} .text")

    def is_audible() -> bool:
        audible = visit.run(AUDIBLE, PILOT_HZ - 500)
        assert -0.5 < audible["at"] - start < 10, f"the player is at {audible['at']} s, and the line at {start} s"
        return 0 < (audible["hz"] - PILOT_HZ) / PILOT_RISE - start < 5  # and not the audio from before the click

    wait_until(is_audible, 20, f"playing the line at {start} s")
