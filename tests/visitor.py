"""A client for tests of a served site: signed in, it uses HTTP and WebSockets like a program."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

from tests.site import Site


class Visitor:
    """A client that is signed in as `admin`, the account of every prepared site."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.http = httpx.Client(base_url=site.url, timeout=120)
        self.http.get("/accounts/login/")
        form = {"username": "admin", "password": "wonderland", "csrfmiddlewaretoken": self.http.cookies["csrftoken"]}
        assert self.http.post("/accounts/login/", data=form).status_code == 302
        self.http.headers.update({"X-CSRFToken": self.http.cookies["csrftoken"], "Accept": "application/json"})

    def __enter__(self) -> "Visitor":
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def upload(self, path: Path) -> str:
        """Upload a file and return the id of the recording."""
        with open(path, "rb") as file:
            answer = self.http.post("/uploads/", files={"file": (path.name, file)})
        assert answer.status_code == 201, answer.text
        upload: str = answer.json()["id"]
        return upload

    def start(self, upload: str) -> str:
        """Start a job with the default engine and return its id."""
        answer = self.http.post(f"/uploads/{upload}/jobs/")
        assert answer.status_code == 201, answer.text
        job: str = answer.json()["id"]
        return job

    def start_scripted(self, upload: str, pace: float) -> str:
        """Start a job with the engine `scripted` and return its id. The site must use the settings `tests.served`.

        `pace` is the speed: seconds of audio a second.
        """
        start = {"type": "start", "upload": upload, "engine": "scripted", "options": {"pace": pace}}
        with self.socket("/ws/stream/") as socket:
            socket.send(json.dumps(start))
            job: str = next(events(socket))["job"]["id"]
        return job

    def watch(self, job: str, after: int = 0) -> ClientConnection:
        return self.socket(f"/ws/jobs/{job}/?after={after}")

    def socket(self, path: str) -> ClientConnection:
        cookie = f"sessionid={self.http.cookies['sessionid']}"
        return connect(
            self.site.url.replace("http", "ws", 1) + path,
            additional_headers={"Cookie": cookie},
            origin=self.site.url,  # type: ignore[arg-type]
            max_size=None,
            open_timeout=60,
            ping_interval=None,
        )

    def transcript(self, job: str) -> str:
        return self.http.get(f"/jobs/{job}/transcript.txt").text


def events(socket: ClientConnection, timeout: float = 90.0) -> Iterator[dict[str, Any]]:
    while True:
        yield json.loads(socket.recv(timeout=timeout))


def rows(site: Site, query: str) -> list[tuple[Any, ...]]:
    """Run a query on the SQLite database of a site, opened read-only."""
    database = sqlite3.connect(f"file:{site.folder / 'db.sqlite3'}?mode=ro", uri=True, timeout=20)
    try:
        return database.execute(query).fetchall()
    finally:
        database.close()


def status(site: Site) -> str:
    """Return the status of the only job of a site."""
    return str(rows(site, "select status from streaming_job")[0][0])


def segments(site: Site) -> list[tuple[int, float, float, str]]:
    return rows(site, "select seq, start_time, end_time, text from streaming_segment order by seq")  # type: ignore[return-value]


def change(site: Site, statement: str) -> None:
    """Run a statement that changes the SQLite database of a site, and commit it."""
    database = sqlite3.connect(site.folder / "db.sqlite3", timeout=60)
    try:
        with database:
            database.execute(statement)
    finally:
        database.close()
