"""Viewers who can't keep up: one who never reads, and one who reads a little a second. Threads of a benchmark."""

import select
import socket
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.frames import CLOSE, TEXT, Frames, request
from benchmarks.watched import Server

BUFFER_BYTES = 2048  # what the kernel keeps for who does not read; it takes twice as much
TURNS_A_SECOND = 20
GONE = select.POLLHUP | select.POLLERR | select.POLLRDHUP


def ask(server: Server, after: int) -> socket.socket:
    """Return a socket that has asked to watch, with as little room for what it does not read as there can be."""
    address = urlsplit(server.origin)
    asking = socket.socket()
    asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    asking.connect((address.hostname, address.port))
    asking.sendall(request(server.origin, f"{server.path}?after={after}", server.headers))
    return asking


class Never:
    """Asks to watch and reads nothing."""

    def __init__(self, server: Server, after: int) -> None:
        self._socket = ask(server, after)
        self._began = time.monotonic()
        self._poll = select.poll()
        self._poll.register(self._socket, GONE)

    def unsent_bytes(self) -> int:
        """Return what the kernel keeps for it on the server's side: no process has that in its memory."""
        try:
            theirs, ours = self._socket.getpeername()[1], self._socket.getsockname()[1]
        except OSError:
            return 0  # the server has cut it
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, local, remote, _, queues, *_ = line.split()
            if (int(local[-4:], 16), int(remote[-4:], 16)) == (theirs, ours):
                return int(queues.partition(":")[0], 16)
        return 0  # it is gone

    def wait_for_end(self, seconds: float) -> str:
        """Return how the server ended it, and when; then leave."""
        ended = bool(self._poll.poll(1000 * max(0.0, self._began + seconds - time.monotonic())))
        took = time.monotonic() - self._began
        codes = []
        self._socket.settimeout(2.0)
        try:
            frames = Frames()
            while data := self._socket.recv(65536):
                codes += [int.from_bytes(payload[:2]) for opcode, payload in frames.take(data) if opcode == CLOSE]
        except TimeoutError:
            ended = False  # all was read, and the socket is still open
        except ConnectionError:
            return f"cut after {took:.0f} s"
        finally:
            self._socket.close()
        if codes:
            return f"closed with {codes[0]}, seen when it read at last"
        return f"hung up after {took:.0f} s" if ended else f"still open after {took:.0f} s"


@dataclass
class Heard:
    """What a viewer had and when: the kind and number, how many seconds after it was published."""

    finals: list[int] = field(default_factory=list)
    behind: dict[str, list[float]] = field(default_factory=lambda: {"partial": [], "final": []})
    end: str = ""


class Slowly(threading.Thread):
    """Reads so many bytes a second, evenly, until told to stop."""

    def __init__(self, server: Server, after: int, bytes_a_second: int) -> None:
        super().__init__()
        self._socket = ask(server, after)
        self._socket.setblocking(False)
        self._bytes = bytes_a_second // TURNS_A_SECOND
        self._frames = Frames()
        self.heard = Heard()
        self.is_joined = threading.Event()
        self.stopping = threading.Event()

    def run(self) -> None:
        due = time.monotonic()
        while not self.stopping.wait(max(0.0, due - time.monotonic())):
            due += 1 / TURNS_A_SECOND
            try:
                data = self._socket.recv(self._bytes)
            except BlockingIOError:
                continue  # all was read
            except ConnectionError as error:
                self.heard.end = str(error)
                break
            if not data:
                self.heard.end = self.heard.end or "hung up"
                break
            for opcode, payload in self._frames.take(data):
                if opcode == TEXT:
                    self._take(payload, time.time())
                elif opcode == CLOSE:
                    self.heard.end = f"closed with {int.from_bytes(payload[:2])}"
        self._socket.close()

    def _take(self, payload: bytes, now: float) -> None:
        self.is_joined.set()
        kind = next((kind for kind in ("partial", "final") if payload.startswith(b'{"type":"%s"' % kind.encode())), "")
        if kind:
            said = payload.partition(b'"at ')[2]
            self.heard.behind[kind].append(now - float(said[:17]))
        if kind == "final":
            self.heard.finals.append(int(payload.partition(b'"seq":')[2].partition(b",")[0]))
