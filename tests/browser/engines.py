"""Start the browsers of this folder's tests: Chromium, or Firefox if TEST_BROWSER=firefox."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, BrowserType

from tests.site import wait_until

IS_FIREFOX = os.environ.get("TEST_BROWSER", "chromium") == "firefox"
START_MS = 120_000  # a busy machine needs long
NEEDED = "The browser tests need {}: install it (on Debian: apt install {})."


def chromium(kind: BrowserType) -> Browser:
    """Start Chromium (Debian's, or another that is installed) and return it."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert program, NEEDED.format("Chromium", "chromium")
    quiet = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"]
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    return kind.launch(executable_path=program, args=[*quiet, "--disable-sync", *root], timeout=START_MS)


def firefox(kind: BrowserType, folder: Path, pulse_server: str) -> Browser:
    """Start Debian's Firefox over WebDriver BiDi and return it. `folder` is its home, and must belong to this user.

    `pulse_server` is the address of a PulseAudio. If it is empty, Firefox has no audio device and every play fails.
    """
    program = shutil.which("firefox-esr")
    assert program, NEEDED.format("Firefox ESR", "firefox-esr")
    environment = {**os.environ, "HOME": str(folder), "PULSE_SERVER": pulse_server or "unix:/nonexistent"}
    return kind.launch(channel="moz-firefox", executable_path=program, env=environment, timeout=START_MS)


@contextmanager
def null_sink(folder: Path) -> Iterator[str]:
    """Run a PulseAudio that discards all audio, and yield its address."""
    program = shutil.which("pulseaudio")
    assert program, NEEDED.format("PulseAudio", "pulseaudio")
    socket = folder / "pulse"
    modules = ["module-null-sink", f"module-native-protocol-unix auth-anonymous=1 socket={socket}"]
    command = [program, "-n", "--daemonize=no", "--exit-idle-time=-1", *(f"--load={module}" for module in modules)]
    environment = {**os.environ, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "PULSE_RUNTIME_PATH": str(folder)}
    server = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        wait_until(socket.exists, what="the start of PulseAudio")
        yield f"unix:{socket}"
    finally:
        server.terminate()
        server.wait()
