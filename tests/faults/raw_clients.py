"""Clients on raw sockets. They send data that no library sends: half handshakes, malformed frames, single bytes."""

import socket
import struct
from contextlib import suppress

from websockets.frames import Frame, Opcode

from tests.site import Site
from tests.visitor import Visitor

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455, section 1.3


def connected(site: Site, timeout: float = 60.0, receive_bytes: int | None = None) -> socket.socket:
    """Return a connection to the site. `receive_bytes` limits the kernel's receive buffer."""
    host, port = site.url.removeprefix("http://").split(":")
    made = socket.socket()
    made.settimeout(timeout)
    if receive_bytes is not None:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.connect((host, int(port)))
    return made


def handshake(visitor: Visitor, path: str, **changes: str) -> bytes:
    """Return the request that opens a WebSocket. `changes` sets headers (`_` for `-`); "" omits a header."""
    site = visitor.site.url
    headers = {
        "Host": site.removeprefix("http://"),
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
        "Origin": site,
        "Cookie": f"sessionid={visitor.http.cookies['sessionid']}",
    } | {name.replace("_", "-"): value for name, value in changes.items()}
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items() if value), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def opened(visitor: Visitor, path: str, receive_bytes: int | None = None, **changes: str) -> socket.socket:
    """Open a WebSocket and return its connection. No message is read yet."""
    made = connected(visitor.site, receive_bytes=receive_bytes)
    made.sendall(handshake(visitor, path, **changes))
    head = b""
    while not head.endswith(b"\r\n\r\n") and (byte := made.recv(1)):
        head += byte
    assert head.startswith(b"HTTP/1.1 101 "), head
    return made


def frame(content: bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True) -> bytes:
    return Frame(opcode, content, fin=fin).serialize(mask=True)


def message(connection: socket.socket) -> tuple[int, bytes]:
    """Read the next frame that is not a ping. Returns its opcode and its content."""

    def read(count: int) -> bytes:
        content = b""
        while len(content) < count:
            piece = connection.recv(count - len(content))
            if not piece:
                raise ConnectionError("the connection has ended")
            content += piece
        return content

    while True:
        first, length = read(2)
        if length >= 126:
            (length,) = struct.unpack(">H" if length == 126 else ">Q", read(2 if length == 126 else 8))
        opcode, content = first & 0x0F, read(length)
        if opcode != Opcode.PING:
            return opcode, content


def close_code(connection: socket.socket) -> int:
    """Read up to the close frame. Returns its code."""
    while True:
        opcode, content = message(connection)
        if opcode == Opcode.CLOSE:
            return int.from_bytes(content[:2], "big")


def is_dropped(connection: socket.socket) -> bool:
    """Read to the end of the connection. Returns whether the server closed it without a close frame."""
    try:
        while True:
            opcode, _ = message(connection)
            if opcode == Opcode.CLOSE:
                return False
    except ConnectionError:
        return True


def cut(connection: socket.socket) -> None:
    """Reset a connection without a close frame, as a broken network does."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
