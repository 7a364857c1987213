"""A network between two parts that can be cut, held, slowed, and made to pass one byte at a time."""

import socket
import threading
import time
from contextlib import suppress

from tests.site import free_port

BLOCK_BYTES = 65_536


class Proxy:
    """Passes what comes to `port` on to another port of this machine, and back. A context manager that ends it."""

    def __init__(self, to_port: int) -> None:
        self.port = free_port()
        self.block_bytes = BLOCK_BYTES  # most of what is passed at once
        self.bytes_a_second = 0.0  # 0: as fast as it goes
        self._to = ("127.0.0.1", to_port)
        self._flows = threading.Event()
        self._flows.set()
        self._open: set[socket.socket] = set()
        self._listening: socket.socket | None = None

    def hold(self) -> None:
        """Half open: connections stay, and new ones come to be, but nothing gets through."""
        self._flows.clear()

    def release(self) -> None:
        self._flows.set()

    def cut(self) -> None:
        """Cut the connections that are; new ones can be made."""
        for one in [*self._open]:
            with suppress(OSError):  # its other end was faster
                one.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> "Proxy":
        self._listening = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._listening is not None
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.release()
        self.cut()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                here, _ = listening.accept()
                there = socket.create_connection(self._to)
            except OSError:
                return  # ended
            self._open |= {here, there}
            for source, target in ((here, there), (there, here)):
                target.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or the system joins what is parted here
                threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):  # either end is gone
            while data := source.recv(BLOCK_BYTES):
                for start in range(0, len(data), self.block_bytes):
                    self._flows.wait()
                    part = data[start : start + self.block_bytes]
                    target.sendall(part)
                    if self.bytes_a_second:
                        time.sleep(len(part) / self.bytes_a_second)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            self._open.discard(one)
            one.close()
