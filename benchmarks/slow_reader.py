"""Two slow viewers for `slow_viewers.py`: one never reads, the other reads a few bytes a second."""

import select
import socket
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.frames import CLOSE, TEXT, Frames, request
from benchmarks.live_job import Server

BUFFER_BYTES = 2048  # of the client's receive buffer; the kernel doubles it
TURNS_A_SECOND = 20
GONE = select.POLLHUP | select.POLLERR | select.POLLRDHUP


def ask(server: Server, after: int) -> socket.socket:
    """Return a socket that has asked to watch, with the smallest possible receive buffer."""
    address = urlsplit(server.origin)
    asking = socket.socket()
    asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    asking.connect((address.hostname, address.port))
    asking.sendall(request(server.origin, f"{server.path}?after={after}", server.headers))
    return asking


class NonReader:
    """A viewer that asks to watch and reads nothing."""

    def __init__(self, server: Server, after: int) -> None:
        self._socket = ask(server, after)
        self._began = time.monotonic()
        self._poll = select.poll()
        self._poll.register(self._socket, GONE)

    def unsent_bytes(self) -> int:
        """Return how many bytes the kernel keeps for it on the server's side, outside the memory of all processes."""
        try:
            theirs, ours = self._socket.getpeername()[1], self._socket.getsockname()[1]
        except OSError:
            return 0  # the server has closed the connection
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, local, remote, _, queues, *_ = line.split()
            if (int(local[-4:], 16), int(remote[-4:], 16)) == (theirs, ours):
                return int(queues.partition(":")[0], 16)
        return 0  # the connection has ended

    def wait_for_end(self, seconds: float) -> str:
        """Return how and when the server ended the connection; then close it."""
        ended = bool(self._poll.poll(1000 * max(0.0, self._began + seconds - time.monotonic())))
        took = time.monotonic() - self._began
        codes = []
        self._socket.settimeout(2.0)
        try:
            frames = Frames()
            while data := self._socket.recv(65536):
                codes += [int.from_bytes(payload[:2]) for opcode, payload in frames.feed(data) if opcode == CLOSE]
        except TimeoutError:
            ended = False  # everything was read, and the socket is still open
        except ConnectionError:
            return f"disconnected after {took:.0f} s"
        finally:
            self._socket.close()
        if codes:
            return f"closed with {codes[0]}, as it found when it read"
        return f"connection closed after {took:.0f} s" if ended else f"still open after {took:.0f} s"


@dataclass
class Received:
    """The numbers of the finals that a viewer received, and the delays of all events since they were published (s)."""

    finals: list[int] = field(default_factory=list)
    delays: dict[str, list[float]] = field(default_factory=lambda: {"partial": [], "final": []})
    end: str = ""


class SlowReader(threading.Thread):
    """A viewer that reads so many bytes a second, evenly, until `stopping` is set."""

    def __init__(self, server: Server, after: int, bytes_a_second: int) -> None:
        super().__init__()
        self._socket = ask(server, after)
        self._socket.setblocking(False)
        self._bytes = bytes_a_second // TURNS_A_SECOND
        self._frames = Frames()
        self.received = Received()
        self.is_joined = threading.Event()
        self.stopping = threading.Event()

    def run(self) -> None:
        due = time.monotonic()
        while not self.stopping.wait(max(0.0, due - time.monotonic())):
            due += 1 / TURNS_A_SECOND
            try:
                data = self._socket.recv(self._bytes)
            except BlockingIOError:
                continue  # there is nothing to read now
            except ConnectionError as error:
                self.received.end = str(error)
                break
            if not data:
                self.received.end = self.received.end or "connection closed"
                break
            for opcode, payload in self._frames.feed(data):
                if opcode == TEXT:
                    self._receive(payload, time.time())
                elif opcode == CLOSE:
                    self.received.end = f"closed with {int.from_bytes(payload[:2])}"
        self._socket.close()

    def _receive(self, payload: bytes, now: float) -> None:
        self.is_joined.set()
        kind = next((kind for kind in ("partial", "final") if payload.startswith(b'{"type":"%s"' % kind.encode())), "")
        if kind:
            published = payload.partition(b'"at ')[2]
            self.received.delays[kind].append(now - float(published[:17]))
        if kind == "final":
            self.received.finals.append(int(payload.partition(b'"seq":')[2].partition(b",")[0]))
