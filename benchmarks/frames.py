"""The client's side of a WebSocket with as little work as possible, so that what is measured is the server."""

from urllib.parse import urlsplit

TEXT, CLOSE, PING = 1, 8, 9
WHOLE_BYTES = 1024 * 1024  # of a longer message only the end is kept
END_BYTES = 64


def request(origin: str, path: str, headers: dict[str, str]) -> bytes:
    """Return the request that opens a socket, without compression."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {urlsplit(origin).netloc}",
        f"Origin: {origin}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def pong(payload: bytes) -> bytes:
    """Return the answer to a ping; its mask is zero."""
    return bytes([0x8A, 0x80 | len(payload), 0, 0, 0, 0]) + payload


class Frames:
    """Cuts what a server sends into an answer and messages."""

    def __init__(self) -> None:
        self.is_open = False
        self._buffer = b""
        self._skipped = 0  # bytes of a long message that are still to come
        self._end = b""

    def take(self, data: bytes) -> list[tuple[int, bytes]]:
        """Return the messages that are complete now: opcode and payload. Raises ConnectionError for a refusal."""
        if self._skipped:
            return self._skip(data)
        buffer = self._buffer + data if self._buffer else data
        if not self.is_open:
            head, blank, buffer = buffer.partition(b"\r\n\r\n")
            if not blank:
                self._buffer = head
                return []
            if not head.startswith(b"HTTP/1.1 101"):
                raise ConnectionError(head.decode("latin-1"))
            self.is_open = True
        messages, at = [], 0
        while len(buffer) - at >= 2:
            length, begin = buffer[at + 1] & 127, at + 2
            if length > 125:
                begin = at + (4 if length == 126 else 10)
                length = int.from_bytes(buffer[at + 2 : begin])
            if len(buffer) < begin:
                break
            if len(buffer) < begin + length:
                if length > WHOLE_BYTES:
                    self._buffer, self._skipped = b"", length
                    return messages + self._skip(buffer[begin:])
                break
            messages.append((buffer[at] & 15, buffer[begin : begin + length]))
            at = begin + length
        self._buffer = buffer[at:]
        return messages

    def _skip(self, data: bytes) -> list[tuple[int, bytes]]:
        """Count a long message; when it is complete, give its end for the whole."""
        part, rest = data[: self._skipped], data[self._skipped :]
        self._skipped -= len(part)
        self._end = (self._end + part[-END_BYTES:])[-END_BYTES:]
        if self._skipped:
            return []
        return [(TEXT, self._end), *self.take(rest)]
