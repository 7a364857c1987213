"""Clients of the deployed site, which connect through its proxy over HTTPS and WSS."""

import json
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

TIMEOUT_SECONDS = 120.0
RESTARTING = 1012
GONE = (RESTARTING, 1006)  # close codes of a process that ended with or without a close frame: pages reconnect


class Person:
    """A client signed in as `admin`. `origin` is the site's address as in a browser."""

    def __init__(self, origin: str, password: str, context: ssl.SSLContext | None = None) -> None:
        self.origin = origin
        self._context = context
        self.http = httpx.Client(base_url=origin, verify=context or True, timeout=TIMEOUT_SECONDS)
        assert self.sign_in(password, origin) == 302
        self.http.headers.update({"X-CSRFToken": self.http.cookies["csrftoken"], "Accept": "application/json"})

    def sign_in(self, password: str, origin: str) -> int:
        self.http.get("/accounts/login/")
        form = {"username": "admin", "password": password, "csrfmiddlewaretoken": self.http.cookies["csrftoken"]}
        return self.http.post("/accounts/login/", data=form, headers={"Origin": origin}).status_code

    def upload(self, path: Path) -> str:
        with open(path, "rb") as file:
            answer = self.http.post("/uploads/", files={"file": (path.name, file)})
        assert answer.status_code == 201, answer.text
        upload: str = answer.json()["id"]
        return upload

    def start(self, upload: str) -> str:
        answer = self.http.post(f"/uploads/{upload}/jobs/")
        assert answer.status_code == 201, answer.text
        job: str = answer.json()["id"]
        return job

    def audio(self, upload: str) -> bytes:
        return self.http.get(f"/uploads/{upload}/audio/").content

    def transcript(self, job: str) -> str:
        return self.http.get(f"/jobs/{job}/transcript.txt").text

    def socket(self, path: str, origin: str = "") -> ClientConnection:
        return connect(
            self.origin.replace("http", "ws", 1) + path,
            ssl=self._context,
            additional_headers={"Cookie": f"sessionid={self.http.cookies['sessionid']}"},
            origin=origin or self.origin,  # type: ignore[arg-type]
            max_size=None,
            open_timeout=TIMEOUT_SECONDS,
        )


class Watcher(threading.Thread):
    """Watches a job to its end. Like the page, it reconnects when a process ends, from its last final on."""

    def __init__(self, person: Person, job: str) -> None:
        super().__init__(daemon=True)
        self.person, self.job = person, job
        self.finals: dict[int, str] = {}
        self.status = ""
        self.reconnects = 0
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            while self.status not in ("completed", "failed", "cancelled"):
                try:
                    self._watch()
                except (ConnectionClosed, OSError) as error:
                    code = error.rcvd.code if isinstance(error, ConnectionClosed) and error.rcvd is not None else 1006
                    assert code in (*GONE, 1013), error
                    self.reconnects += 1
                    time.sleep(0.2)
        except Exception as error:  # any type: `finish` reports it in the main thread
            self.failure = error

    def _watch(self) -> None:
        with self.person.socket(f"/ws/jobs/{self.job}/?after={max(self.finals, default=0)}") as socket:
            while self.status not in ("completed", "failed", "cancelled"):
                self._note(json.loads(socket.recv(timeout=TIMEOUT_SECONDS)))
                if len(self.finals) < max(self.finals, default=0):  # a final is missing
                    socket.send(json.dumps({"type": "sync", "after": 0}))

    def _note(self, event: dict[str, Any]) -> None:
        if event["type"] == "snapshot":
            self.status = event["job"]["status"]
            self.finals |= {segment["seq"]: segment["text"] for segment in event["segments"]}
        elif event["type"] == "final":
            self.finals[event["seq"]] = event["segment"]["text"]
        elif event["type"] == "status":
            self.status = event["job"]["status"]

    def words(self) -> list[str]:
        return " ".join(text for _, text in sorted(self.finals.items())).split()

    def wait_for_final(self, count: int) -> None:
        end = time.monotonic() + 300
        while len(self.finals) < count and self.status not in ("completed", "failed"):
            assert time.monotonic() < end, f"final {count} of the job did not arrive"
            assert self.failure is None, self.failure
            time.sleep(0.05)

    def finish(self) -> None:
        """Wait until the job has ended, and assert that it is completed and that every final arrived."""
        self.join(timeout=900)
        assert self.failure is None, self.failure
        assert self.status == "completed", self.status
        assert sorted(self.finals) == list(range(1, len(self.finals) + 1))


class Clicker(threading.Thread):
    """Loads pages and sends forms and recordings without a pause, until `end` is set. Collects failed requests."""

    def __init__(self, person: Person, upload: str, recording: bytes) -> None:
        super().__init__(daemon=True)
        self.person = person
        self.upload = upload
        self.recording = recording
        self.count = 0
        self.slowest = 0.0
        self.failures: list[str] = []
        self.end = threading.Event()

    def run(self) -> None:
        client = httpx.Client(
            base_url=self.person.origin,
            verify=self.person._context or True,
            timeout=TIMEOUT_SECONDS,
            cookies=dict(self.person.http.cookies),
            headers=dict(self.person.http.headers) | {"Origin": self.person.origin},
        )
        while not self.end.is_set():
            self._do(client, "GET", "/", 200)
            self._do(client, "POST", f"/uploads/{self.upload}/rename/", 200, data={"name": f"Renamed {self.count}"})
            self._do(client, "GET", "/accounts/login/", 302)
            self._do(client, "GET", "/jobs/", 200)
            self._do(client, "POST", "/uploads/", 201, files={"file": ("clicked.wav", self.recording)})
        client.close()

    def _do(self, client: httpx.Client, method: str, path: str, status: int, **body: Any) -> None:
        begun = time.monotonic()
        self.count += 1
        try:
            got = client.request(method, path, **body).status_code
        except httpx.HTTPError as error:
            self.failures.append(f"{method} {path}: {error!r}")
        else:
            if got != status:
                self.failures.append(f"{method} {path}: {got}")
        self.slowest = max(self.slowest, time.monotonic() - begun)
