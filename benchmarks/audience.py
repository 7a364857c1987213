"""Many viewers in a process of their own, which only notes what arrives and when: `python -m benchmarks.audience PLAN`.

Prints `ready` when all have joined, and at a line of input what they had, as JSON. The time of an event is when the
kernel had it, not when this process came to read it.
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
SPOKEN = b'"at '  # how a text begins that says when it was published
SPOKEN_BYTES = len("1700000000.123456")
FINAL = b'{"type":"final","seq":'


@dataclass
class Plan:
    """`opening`: how many may be on their way in at once. `has_snapshot`: the server sends one to who joins."""

    origin: str
    path: str
    headers: dict[str, str]
    viewers: int
    opening: int = 8
    has_snapshot: bool = True
    after: int = 0


@dataclass
class Seen:
    """What all viewers had together; times in seconds."""

    delays: dict[str, list[float]] = field(default_factory=lambda: {"partial": [], "final": []})
    joins: list[float] = field(default_factory=list)
    all_joined_seconds: float = 0.0
    gaps: int = 0
    cuts: int = 0  # who is cut comes again after what it has
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


class Audience:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._poll = select.epoll()
        self._viewers: dict[int, Viewer] = {}
        self._joining = 0
        self._seen = Seen()

    def run(self) -> dict[str, Any]:
        """Join, say so, and watch until a line of input; return what was seen."""
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
                self._look(number, self._viewers[number])

    def _open(self, after: int) -> None:
        viewer = Viewer(self._plan, after)
        self._joining += 1
        self._viewers[viewer.socket.fileno()] = viewer
        self._poll.register(viewer.socket, select.EPOLLOUT)

    def _look(self, number: int, viewer: Viewer) -> None:
        try:
            if not viewer.has_asked:
                viewer.has_asked = True
                viewer.socket.send(viewer.request)
                self._poll.modify(number, select.EPOLLIN)
                return
            data, ancillary, _, _ = viewer.socket.recvmsg(READ_BYTES, 64)
            if not data:
                raise ConnectionError("The server has hung up.")
            seconds, nanoseconds = struct.unpack("ll", ancillary[0][2]) if ancillary else (time.time(), 0)
            at = seconds + nanoseconds / 1e9
            for opcode, payload in viewer.frames.take(data):
                if opcode == TEXT:
                    self._take(viewer, payload, at)
                elif opcode == PING:
                    viewer.socket.send(pong(payload))
                elif opcode == CLOSE:
                    raise ConnectionError(f"The server closes: {payload!r}")
            if viewer.frames.is_open and not self._plan.has_snapshot:
                self._joined(viewer, at)
        except ConnectionError as error:
            # It comes again, as a browser does. Who never got in is a fault of the benchmark.
            if not viewer.has_joined:
                raise
            print(error, file=sys.stderr)
            self._seen.cuts += 1
            del self._viewers[number]
            viewer.socket.close()
            self._open(viewer.seq)

    def _take(self, viewer: Viewer, payload: bytes, at: float) -> None:
        if payload.startswith(FINAL):
            seq = int(payload[len(FINAL) : payload.index(b",", len(FINAL))])
            self._seen.gaps += seq != viewer.seq + 1
            viewer.seq = seq
            self._seen.last_final_at = max(self._seen.last_final_at, at)
            kind = "final"
        elif payload.startswith(b'{"type":"partial"'):
            kind = "partial"
        else:
            if not viewer.has_joined:  # a snapshot, of which this may be the end
                viewer.seq = int(payload.rpartition(b'"seq":')[2].rstrip(b"}"))
                self._joined(viewer, at)
            return
        spoken = payload.find(SPOKEN) + len(SPOKEN)
        self._seen.delays[kind].append(at - float(payload[spoken : spoken + SPOKEN_BYTES]))

    def _joined(self, viewer: Viewer, at: float) -> None:
        if not viewer.has_joined:
            viewer.has_joined = True
            self._joining -= 1
            self._seen.joins.append(at - viewer.began_at)


if __name__ == "__main__":
    print(json.dumps(Audience(Plan(**json.loads(sys.argv[1]))).run()))
