"""A site with a locked or unreachable database or a full disk refuses every action with 503 or 507 and a sentence."""

import re
import shutil
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests import recordings
from tests.disks import filled
from tests.postgres import Postgres
from tests.site import Site
from tests.visitor import Visitor, events
from transcribe_site import failures
from uploads.recordings import DISK_FULL

SETTINGS = {"DJANGO_SETTINGS_MODULE": "tests.served", "TRANSCRIBE_RUN_JOBS": "0"}  # jobs stay queued
Action = Callable[[], httpx.Response]


class Actions:
    """All actions of a person on a site, grouped by whether they write to the database, to files, or only read."""

    def __init__(self, visitor: Visitor, accept: str) -> None:
        self.visitor, self.accept = visitor, {"Accept": accept}
        self.upload = visitor.upload(recordings.tone(1.0))
        self.copied = visitor.upload(recordings.encode(recordings.tone(1.0), "aiff"))  # browsers can't play it
        self.queued, self.cancelled = (visitor.start(self.upload) for _ in range(2))
        visitor.http.post(f"/jobs/{self.cancelled}/cancel/")

    def writing(self) -> dict[str, Action]:
        upload, admin = f"/uploads/{self.upload}", "/admin/streaming/job"
        return {
            "upload": lambda: self.send("/uploads/", files={"file": ("a.wav", recordings.tone(1.0).read_bytes())}),
            "sample": lambda: self.send("/sample/"),
            "rename": lambda: self.send(f"{upload}/rename/", data={"name": "other"}),
            "start": lambda: self.send(f"{upload}/jobs/"),
            "cancel": lambda: self.send(f"/jobs/{self.queued}/cancel/"),
            "retry": lambda: self.send(f"/jobs/{self.cancelled}/retry/"),
            "delete a job": lambda: self.send(f"/jobs/{self.cancelled}/delete/"),
            "delete a recording": lambda: self.send(f"{upload}/delete/"),
            "change the password": lambda: self.send("/accounts/password/", data=NEW_PASSWORD),
            "delete in the admin": lambda: self.send(f"{admin}/{self.queued}/delete/", data={"post": "yes"}),
            "sign in": lambda: self.sign_in("/accounts/login/"),
            "sign in to the admin": lambda: self.sign_in("/admin/login/"),
            "sign out": self.sign_out,
        }

    def making(self) -> dict[str, Action]:
        """Return the actions that write files but not to the database."""
        return {"listen": lambda: self.get(f"/uploads/{self.copied}/listen/")}

    def reading(self) -> dict[str, Action]:
        addresses = ("/", "/jobs/", f"/jobs/{self.queued}/", "/admin/", f"/jobs/{uuid4()}/", "/no/such/page/")
        return {address: lambda address=address: self.get(address) for address in addresses}  # type: ignore[misc]

    def get(self, address: str) -> httpx.Response:
        return self.visitor.http.get(address, headers=self.accept)

    def send(self, address: str, **body: object) -> httpx.Response:
        return self.visitor.http.post(address, headers=self.accept, **body)  # type: ignore[arg-type]

    def sign_in(self, address: str) -> httpx.Response:
        with httpx.Client(base_url=self.visitor.site.url, timeout=120) as client:
            client.cookies["csrftoken"] = "a" * 32
            form = {"username": "admin", "password": "wonderland", "csrfmiddlewaretoken": "a" * 32}
            return client.post(address, data=form, headers=self.accept)

    def sign_out(self) -> httpx.Response:
        cookies = dict(self.visitor.http.cookies)
        headers = self.accept | {"X-CSRFToken": cookies["csrftoken"]}
        return httpx.post(f"{self.visitor.site.url}/accounts/logout/", cookies=cookies, headers=headers, timeout=120)


NEW_PASSWORD = {"old_password": "wonderland", "new_password1": "looking-glass-7", "new_password2": "looking-glass-7"}


def results(actions: dict[str, Action]) -> dict[str, httpx.Response]:
    """Do everything at once."""
    with ThreadPoolExecutor(len(actions)) as together:
        begun = {name: together.submit(action) for name, action in actions.items()}
        return {name: action.result() for name, action in begun.items()}


def sentence(answer: httpx.Response, accept: str) -> str:
    if accept == "application/json":
        return str(answer.json()["error"])
    found = re.search(r"<h1>Temporarily unavailable</h1>\s*<p>(.*?)</p>", answer.text)
    assert found, answer.text[:500]
    return found[1].replace("&#x27;", "'")


def assert_refused(answers: dict[str, httpx.Response], status: int, accept: str, sentences: set[str]) -> None:
    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(answers, status)
    assert {sentence(answer, accept) for answer in answers.values()} <= sentences
    if status == 503:
        assert {answer.headers.get("Retry-After") for answer in answers.values()} == {"10"}


@pytest.fixture(params=["application/json", "text/html"])
def accept(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def postgres_site(new_site: Callable[..., Site], postgres: Postgres) -> Site:
    site = new_site(DATABASE_URL=postgres.create_database(f"failures_{uuid4().hex}"), **SETTINGS)
    site.manage("migrate", "--verbosity", "0")
    site.manage("ensure_admin")
    site.start()
    return site


def test_every_action_is_refused_with_503_while_sqlite_is_locked(new_site: Callable[..., Site], accept: str) -> None:
    site = new_site(**SETTINGS)
    site.start()
    with Visitor(site) as visitor:
        actions = Actions(visitor, accept)
        with closing(sqlite3.connect(site.folder / "db.sqlite3", isolation_level=None)) as other:
            other.execute("begin immediate")
            answers = results(actions.writing())
            other.execute("rollback")
        # A sign-in that waits for the database holds a lock, so other sign-ins may be refused as too busy.
        assert_refused(answers, 503, accept, {failures.DATABASE_AWAY, failures.BUSY})
        assert visitor.http.get("/").status_code == 200
    assert "Traceback" not in site.log()
    assert site.log().count("Answered a request with 503") < len(answers), "the site logs it once in ten seconds"


def test_every_action_and_page_is_refused_with_503_while_postgresql_is_down(
    postgres_site: Site, postgres: Postgres, accept: str
) -> None:
    with Visitor(postgres_site) as visitor:
        actions = Actions(visitor, accept)
        postgres.stop()
        try:
            answers = results(actions.writing() | actions.reading())
        finally:
            postgres.start()
        assert answers.pop("/no/such/page/").status_code in {404, 503}
        # A sign-in that waits for the database holds a lock, so other sign-ins may be refused as too busy.
        assert_refused(answers, 503, accept, {failures.DATABASE_AWAY, failures.BUSY})
        assert visitor.http.get("/").status_code == 200
    assert "Traceback" not in postgres_site.log()


def test_every_action_is_refused_with_507_while_the_disk_is_full(
    prepared_folder: Path, new_site: Callable[..., Site], small_disk: Path, accept: str
) -> None:
    site = new_site(TRANSCRIBE_DATA_DIR=str(small_disk), **SETTINGS)
    shutil.copytree(prepared_folder, small_disk, dirs_exist_ok=True)
    site.start()
    with Visitor(site) as visitor:
        actions = Actions(visitor, accept)
        with visitor.watch(actions.queued) as socket, filled(small_disk):
            socket.send('{"type": "cancel"}')
            refusal = next(event for event in events(socket) if event["type"] == "error")
            assert refusal == {"type": "error", "code": "unavailable", "message": DISK_FULL}
            answers = results(actions.writing() | actions.making())
        assert_refused(answers, 507, accept, {failures.DISK_FULL, DISK_FULL})
        assert visitor.http.post(f"/jobs/{actions.queued}/cancel/").status_code == 200
    assert "Traceback" not in site.log()


def test_an_upload_that_fills_the_disk_is_refused_and_its_file_deleted(
    prepared_folder: Path, new_site: Callable[..., Site], small_disk: Path
) -> None:
    site = new_site(TRANSCRIBE_DATA_DIR=str(small_disk), **SETTINGS)
    shutil.copytree(prepared_folder, small_disk, dirs_exist_ok=True)
    site.start()
    with Visitor(site) as visitor:
        answer = visitor.http.post("/uploads/", files={"file": ("a.wav", bytes(32 * 1024**2))})
        assert (answer.status_code, answer.json()) == (507, {"error": DISK_FULL})
        assert list((small_disk / "incoming").iterdir()) == []
        visitor.upload(recordings.tone(5.0))
    assert "Traceback" not in site.log()
