"""Runs an S3 server (moto) in a child process for tests, and a proxy in front of it that can cut connections."""

import socket
import subprocess
import sys
import threading
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import boto3

from tests.site import START_SECONDS, free_port, wait_until

KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "only for tests"}


class Gate:
    """A TCP proxy to a port. While it is shut, it refuses new connections; shutting it cuts the existing ones."""

    def __init__(self, to_port: int) -> None:
        self.port = free_port()
        self._to = ("127.0.0.1", to_port)
        self._listening: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._is_passing = threading.Event()
        self._is_passing.set()
        self._lock = threading.Lock()  # else a new connection could pass while the gate is being shut
        self.cut_after: int | None = None  # cut one response after so many bytes; None: cut none
        self.answered_bytes = 0
        self.open()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", self.port), reuse_port=False)
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def shut(self) -> None:
        self.resume()
        with self._lock:
            listening, self._listening = self._listening, None
            for one in [listening, *self._open]:
                if one is not None:
                    with suppress(OSError):  # the other end has already closed it
                        one.shutdown(socket.SHUT_RDWR)
                    one.close()

    def hold(self) -> None:
        """Keep connections open but forward no data, like a storage that hangs."""
        self._is_passing.clear()

    def resume(self) -> None:
        self._is_passing.set()

    @property
    def connections(self) -> int:
        """The number of connections that clients have open."""
        return len(self._open) // 2

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                here, _ = listening.accept()
            except OSError:
                return  # the gate was shut
            try:
                there = socket.create_connection(self._to)
            except OSError:  # the server is not running
                here.close()
                continue
            with self._lock:
                if self._listening is not listening:
                    here.close()
                    there.close()
                    return
                self._open |= {here, there}
            threading.Thread(target=self._pass_on, args=(here, there, False), daemon=True).start()
            threading.Thread(target=self._pass_on, args=(there, here, True), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        with suppress(OSError):  # one end closed the connection
            while data := source.recv(65536):
                self._is_passing.wait()
                if is_answer:
                    with self._lock:
                        self.answered_bytes += len(data)
                if is_answer and self.cut_after is not None:
                    self.cut_after -= len(data)
                    if self.cut_after <= 0:
                        self.cut_after = None
                        target.sendall(data[: len(data) // 2])
                        break
                target.sendall(data)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
            with self._lock:
                self._open.discard(one)


@dataclass
class S3Server:
    """The server. It keeps its buckets in memory, so they are lost when it stops."""

    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def answers() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, "the S3 server ended"
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        wait_until(answers, START_SECONDS, "the start of the S3 server")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()


class Bucket:
    """An empty bucket with its own gate. `client` bypasses the gate."""

    def __init__(self, server: S3Server) -> None:
        self.name = f"recordings-{uuid.uuid4().hex}"
        self.gate = Gate(server.port)
        keys = {name.lower(): value for name, value in KEYS.items()}
        url = f"http://127.0.0.1:{server.port}"
        self.client: Any = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)
        self.client.create_bucket(Bucket=self.name)

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of a site that uses this bucket through the gate."""
        return {**KEYS, "TRANSCRIBE_S3_BUCKET": self.name, "AWS_ENDPOINT_URL_S3": self.gate.url}

    def names(self) -> list[str]:
        return [found["Key"] for found in self.client.list_objects_v2(Bucket=self.name).get("Contents", [])]

    def content(self, name: str) -> bytes:
        with self.client.get_object(Bucket=self.name, Key=name)["Body"] as body:
            content: bytes = body.read()
        return content

    def close(self) -> None:
        self.gate.shut()
        self.client.close()
