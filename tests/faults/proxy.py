"""A TCP proxy between two components that can cut, block or slow connections and split responses into bytes."""

import socket
import threading
import time
from contextlib import suppress

from tests.site import free_port

BLOCK_BYTES = 65_536


class Proxy:
    """Forwards connections to `port` to another local port. As a context manager it closes them at the end."""

    def __init__(self, to_port: int) -> None:
        self.port = free_port()
        self.answer_bytes = BLOCK_BYTES  # the largest piece of a response that is forwarded at once
        self.bytes_a_second = 0.0  # 0: unlimited
        self._to = ("127.0.0.1", to_port)
        self._flows = threading.Event()
        self._flows.set()
        self._is_over = threading.Event()
        self._made = self._lost = 0  # the number of connections so far, and of those that `lose` has blocked
        self._open: set[socket.socket] = set()
        self._listening: socket.socket | None = None

    def hold(self) -> None:
        """Block all traffic until `release`. Existing connections stay open, and new ones are accepted."""
        self._flows.clear()

    def release(self) -> None:
        self._flows.set()

    def lose(self) -> None:
        """Block the existing connections permanently, without closing them. New connections work."""
        self._lost = self._made

    def cut(self) -> None:
        """Close all existing connections. New connections work."""
        for one in [*self._open]:
            with suppress(OSError):  # the other end has already closed it
                one.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> "Proxy":
        self._listening = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._listening is not None
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._is_over.set()
        self.release()
        self.cut()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                here, _ = listening.accept()
            except OSError:
                return  # the proxy has been closed
            try:
                there = socket.create_connection(self._to)
            except OSError:
                here.close()
                continue
            self._open |= {here, there}
            self._made += 1
            for end in (here, there):
                with suppress(OSError):  # the connection was closed meanwhile
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else the kernel would join small pieces
            for ends in ((here, there, self._made, False), (there, here, self._made, True)):
                threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, number: int, is_answer: bool) -> None:
        with suppress(OSError):  # one end closed the connection
            while data := source.recv(BLOCK_BYTES):
                size = self.answer_bytes if is_answer else BLOCK_BYTES
                for start in range(0, len(data), size):
                    self._flows.wait()
                    if number <= self._lost:
                        self._is_over.wait()
                    part = data[start : start + size]
                    target.sendall(part)
                    if self.bytes_a_second:
                        time.sleep(len(part) / self.bytes_a_second)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            self._open.discard(one)
            one.close()
