"""Load from clients without an account (bodies, connections, sign-ins), and the answer times of other people's pages.

Figures in parentheses are those of the version before the limits of November 2026. The sign-ins and the upload were
measured, the figure of the bodies follows from the code, and the idle connections were reported with 1,024 descriptors.
"""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from benchmarks.site import after, meanwhile, served
from tests import recordings
from tests.site import Site

MIB = 1024**2
SENDERS, BODY_MIB = 12, 90
IDLE = 1_100
SIGN_INS = 100
QUICK = {"SENDERS": 2, "BODY_MIB": 2, "IDLE": 20, "SIGN_INS": 4}


def written_mib(site: Site, which: str = "wchar") -> float:
    """Return the MiB that the process has passed to write calls (`wchar`), for files and sockets."""
    assert site.process is not None
    lines = Path(f"/proc/{site.process.pid}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(which)) / MIB


def connect(site: Site) -> socket.socket:
    address = urlsplit(site.url)
    assert address.hostname is not None
    return socket.create_connection((address.hostname, address.port), timeout=60)


def send(site: Site) -> None:
    with connect(site) as connection, suppress(OSError):  # the server closes it
        head = f"POST /uploads/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: {BODY_MIB * MIB}\r\n\r\n"
        connection.sendall(head.encode())
        for _ in range(BODY_MIB):
            connection.sendall(bytes(MIB))


def sign_in(url: str, number: int) -> int:
    with httpx.Client(base_url=url, timeout=120, verify=False) as client:
        client.get("/accounts/login/")
        form = {"username": f"person-{number}", "password": "guess", "csrfmiddlewaretoken": client.cookies["csrftoken"]}
        return client.post("/accounts/login/", data=form).status_code


def sign_in_all(url: str) -> list[int]:
    with ThreadPoolExecutor(SIGN_INS) as together:
        return list(together.map(partial(sign_in, url), range(SIGN_INS)))


def run() -> Iterator[tuple[str, str]]:
    with served({"TRANSCRIBE_RUN_JOBS": "0"}) as (site, visitor):
        before = written_mib(site)
        with ThreadPoolExecutor(SENDERS) as together:
            senders = [together.submit(send, site) for _ in range(SENDERS)]
            others = meanwhile(site, visitor, lambda: all(sender.done() for sender in senders))
        written = written_mib(site) - before
        yield f"{SENDERS} anonymous senders of {BODY_MIB} MiB: written", f"{written:.1f} MiB (all 1,080)"
        yield "meanwhile", others

        with ExitStack() as stack:
            for _ in range(IDLE):
                stack.enter_context(connect(site))
            others = meanwhile(site, visitor, after(2.0))
            yield f"{IDLE:,} idle anonymous connections: meanwhile", f"{others} (no answer)"

        # In a process of its own: a hundred threads would delay the two that measure here.
        with ProcessPoolExecutor(1, get_context("fork")) as apart:
            began = time.perf_counter()
            attempts = apart.submit(sign_in_all, site.url)
            others = meanwhile(site, visitor, attempts.done)
            took = time.perf_counter() - began
        codes = attempts.result()
        answered = f"{took:.0f} s, {codes.count(200)} passwords checked, {codes.count(503)} asked to retry"
        yield f"{SIGN_INS} sign-ins at once", answered
        yield "meanwhile (goal: 0.5 s and 1 s)", f"{others} (18.9 s, 22.8 s on a busy machine)"

        large = recordings.folder() / "large.wav"
        second = recordings.tone(1.0).read_bytes()
        large.write_bytes(second[:44] + second[44:] * (BODY_MIB * MIB // (len(second) - 44)))
        before = written_mib(site)
        visitor.upload(large)
        times = (written_mib(site) - before) / (large.stat().st_size / MIB)
        yield f"an upload of {BODY_MIB} MiB is written", f"{times:.2f} times (4)"
        large.unlink()
