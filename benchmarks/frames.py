"""The client's side of a WebSocket with as little work as possible: the server is to be measured."""

from urllib.parse import urlsplit

CONTINUATION, TEXT, CLOSE, PING = 0, 1, 8, 9
WHOLE_BYTES = 1024 * 1024  # only the end of a longer message is kept
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
    """Splits the bytes of a server into the answer to the handshake, and messages."""

    def __init__(self) -> None:
        self.is_open = False
        self._buffer = b""
        self._skipped = 0  # bytes of a long message that have not arrived yet
        self._end = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Return the messages that `data` completes: opcode and payload. Raises ConnectionError for a refusal."""
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
            opcode, is_last, payload = buffer[at] & 15, buffer[at] & 128, buffer[begin : begin + length]
            at = begin + length
            if opcode == CONTINUATION or not is_last:  # a long message, of which only the end is kept
                self._end = (self._end + payload)[-END_BYTES:]
                if not is_last:
                    continue
                opcode, payload, self._end = TEXT, self._end, b""
            messages.append((opcode, payload))
        self._buffer = buffer[at:]
        return messages

    def _skip(self, data: bytes) -> list[tuple[int, bytes]]:
        """Count the bytes of a long message; when it is complete, return its end in its place."""
        part, rest = data[: self._skipped], data[self._skipped :]
        self._skipped -= len(part)
        self._end = (self._end + part[-END_BYTES:])[-END_BYTES:]
        if self._skipped:
            return []
        return [(TEXT, self._end), *self.feed(rest)]
