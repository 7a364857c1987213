"""Many viewers in one process, which only records the events and their times.

`python -m benchmarks.viewer_clients PLAN` prints `ready` when all viewers have joined. After a line of input it prints
the events that they received, as JSON. An event's time is when the kernel received it, not when this process read it.
"""

import json
import select
import socket
import struct
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

from benchmarks.frames import CLOSE, PING, TEXT, Frames, pong, request

SO_TIMESTAMPNS = 35  # Linux; Python has no name for it
READ_BYTES = 256 * 1024
PUBLISHED = b'"at '  # the beginning of a text with the time at which it was published
PUBLISHED_BYTES = len("1700000000.123456")
FINAL = b'{"type":"final","seq":'


@dataclass
class Plan:
    """`opening` is how many viewers may connect at once. `has_snapshot`: the server sends a snapshot to each viewer."""

    origin: str
    path: str
    headers: dict[str, str]
    viewers: int
    opening: int = 8
    has_snapshot: bool = True
    after: int = 0


@dataclass
class Observed:
    """The events of all viewers together; times in seconds."""

    delays: dict[str, list[float]] = field(default_factory=lambda: {"partial": [], "final": []})
    joins: list[float] = field(default_factory=list)
    all_joined_seconds: float = 0.0
    gaps: int = 0
    reconnects: int = 0  # a viewer whose socket is closed connects again, after its last final
    last_final_at: float = 0.0


class Viewer:
    def __init__(self, plan: Plan, after: int) -> None:
        self.seq = after
        self.began_at = time.time()
        self.frames = Frames()
        self.has_asked = self.has_joined = False
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        address = urlsplit(plan.origin)
        self.socket.connect_ex((address.hostname, address.port))
        self.request = request(plan.origin, f"{plan.path}?after={after}", plan.headers)


class ViewerClients:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._poll = select.epoll()
        self._viewers: dict[int, Viewer] = {}
        self._joining = 0
        self._seen = Observed()

    def run(self) -> dict[str, Any]:
        """Let all viewers join, print `ready`, and watch until a line of input. Returns the events."""
        self._poll.register(sys.stdin, select.EPOLLIN)
        began_at, is_ready = time.time(), False
        left = self._plan.viewers
        while True:
            while left and self._joining < self._plan.opening:
                left -= 1
                self._open(self._plan.after)
            if not left and not self._joining and not is_ready:
                is_ready = True
                self._seen.all_joined_seconds = time.time() - began_at
                print("ready", flush=True)
            for number, _ in self._poll.poll():
                if number == sys.stdin.fileno():
                    return asdict(self._seen) | {"seqs": sorted({viewer.seq for viewer in self._viewers.values()})}
                self._handle(number, self._viewers[number])

    def _open(self, after: int) -> None:
        viewer = Viewer(self._plan, after)
        self._joining += 1
        self._viewers[viewer.socket.fileno()] = viewer
        self._poll.register(viewer.socket, select.EPOLLOUT)

    def _handle(self, number: int, viewer: Viewer) -> None:
        try:
            if not viewer.has_asked:
                viewer.has_asked = True
                viewer.socket.send(viewer.request)
                self._poll.modify(number, select.EPOLLIN)
                return
            data, ancillary, _, _ = viewer.socket.recvmsg(READ_BYTES, 64)
            if not data:
                raise ConnectionError("The server closed the connection.")
            seconds, nanoseconds = struct.unpack("ll", ancillary[0][2]) if ancillary else (time.time(), 0)
            at = seconds + nanoseconds / 1e9
            for opcode, payload in viewer.frames.feed(data):
                if opcode == TEXT:
                    self._receive(viewer, payload, at)
                elif opcode == PING:
                    viewer.socket.send(pong(payload))
                elif opcode == CLOSE:
                    raise ConnectionError(f"The server closed the socket: {payload!r}")
            if viewer.frames.is_open and not self._plan.has_snapshot:
                self._joined(viewer, at)
        except ConnectionError as error:
            # The viewer connects again, as a browser does. If it has never joined, the benchmark is broken.
            if not viewer.has_joined:
                raise
            print(error, file=sys.stderr)
            self._seen.reconnects += 1
            del self._viewers[number]
            viewer.socket.close()
            self._open(viewer.seq)

    def _receive(self, viewer: Viewer, payload: bytes, at: float) -> None:
        if payload.startswith(FINAL):
            seq = int(payload[len(FINAL) : payload.index(b",", len(FINAL))])
            self._seen.gaps += seq != viewer.seq + 1
            viewer.seq = seq
            self._seen.last_final_at = max(self._seen.last_final_at, at)
            kind = "final"
        elif payload.startswith(b'{"type":"partial"'):
            kind = "partial"
        else:
            if not viewer.has_joined:  # a snapshot, or its end
                viewer.seq = int(payload.rpartition(b'"seq":')[2].rstrip(b"}"))
                self._joined(viewer, at)
            return
        begin = payload.find(PUBLISHED) + len(PUBLISHED)
        self._seen.delays[kind].append(at - float(payload[begin : begin + PUBLISHED_BYTES]))

    def _joined(self, viewer: Viewer, at: float) -> None:
        if not viewer.has_joined:
            viewer.has_joined = True
            self._joining -= 1
            self._seen.joins.append(at - viewer.began_at)


if __name__ == "__main__":
    print(json.dumps(ViewerClients(Plan(**json.loads(sys.argv[1]))).run()))
