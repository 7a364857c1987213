"""The messages of `application/vnd.amazon.eventstream`, implemented without the SDK, so that each checks the other.

A message is a prelude (its length, its headers' length, a checksum), headers, a payload and a checksum.
"""

import functools
import struct
from collections.abc import Iterator
from typing import NamedTuple
from zlib import crc32

PRELUDE = struct.Struct("!III")
DATE = struct.Struct("!q")
FRAME_BYTES = 16  # prelude and checksum
# The sizes of header values by type; values of other types are preceded by their length.
SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}

HeaderValue = bool | int | str | bytes


class DamagedError(Exception):
    """The received bytes are not a valid message."""


class TooLargeError(Exception):
    """A message announces more bytes than the service accepts."""


class Message(NamedTuple):
    headers: dict[str, HeaderValue]
    payload: bytes
    size: int  # bytes on the wire


def _header_value(kind: int, raw: bytes) -> HeaderValue:
    if kind in (0, 1):
        return kind == 0
    if kind in (6, 9):
        return raw
    if kind == 7:
        return raw.decode()
    return int.from_bytes(raw, "big", signed=True)


def _headers(raw: bytes) -> dict[str, HeaderValue]:
    headers: dict[str, HeaderValue] = {}
    place = 0
    try:
        while place < len(raw):
            end = place + 1 + raw[place]
            name, kind = raw[place + 1 : end].decode(), raw[end]
            place = end + 1
            size = SIZES.get(kind)
            if size is None:
                if kind not in (6, 7):
                    raise DamagedError(f"header type {kind}")
                size = int.from_bytes(raw[place : place + 2], "big")
                place += 2
            if place + size > len(raw):
                raise DamagedError("a header is cut")
            headers[name] = _header_value(kind, raw[place : place + size])
            place += size
    except (IndexError, UnicodeDecodeError) as error:
        raise DamagedError(str(error)) from error
    return headers


# All audio events have the same three headers, so the parsed headers are cached.
_repeated_headers = functools.lru_cache(maxsize=64)(_headers)


class Decoder:
    """Splits a stream of bytes into messages; `limit` is the largest allowed message in bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = b""

    @property
    def is_between_messages(self) -> bool:
        return not self._rest

    def feed(self, data: bytes) -> Iterator[Message]:
        """Yield the messages that `data` completes. The caller must exhaust the generator before adding more data.

        Raises DamagedError, and TooLargeError as soon as a prelude announces too many bytes, because these might never
        fit the flow-control window.
        """
        data = self._rest + data if self._rest else data
        place = 0
        while len(data) - place >= PRELUDE.size:
            total, headers_size, checksum = PRELUDE.unpack_from(data, place)
            if crc32(data[place : place + 8]) != checksum or total < FRAME_BYTES + headers_size:
                raise DamagedError("prelude")
            if total > self._limit:
                raise TooLargeError
            if len(data) - place < total:
                break
            yield _message(data[place : place + total], headers_size)
            place += total
        self._rest = data[place:]


def _message(raw: bytes, headers_size: int) -> Message:
    if crc32(memoryview(raw)[:-4]) != int.from_bytes(raw[-4:], "big"):
        raise DamagedError("checksum")
    headers_end = PRELUDE.size + headers_size
    parse = (
        _repeated_headers if headers_size > 80 else _headers
    )  # not cached: signed messages have 57 bytes of headers that always differ
    return Message(parse(raw[PRELUDE.size : headers_end]), raw[headers_end:-4], len(raw))


def decode_one(raw: bytes) -> Message:
    """Return the single message in `raw`. Raises DamagedError."""
    if len(raw) < FRAME_BYTES:
        raise DamagedError("short")
    total, headers_size, checksum = PRELUDE.unpack_from(raw)
    if total != len(raw) or crc32(raw[:8]) != checksum or total < FRAME_BYTES + headers_size:
        raise DamagedError("prelude")
    return _message(raw, headers_size)


@functools.lru_cache(maxsize=64)
def _encoded(headers: tuple[tuple[str, str], ...]) -> bytes:
    encoded = bytearray()
    for name, value in headers:
        raw_name, raw_value = name.encode(), value.encode()
        encoded += bytes([len(raw_name)]) + raw_name + b"\x07" + struct.pack("!H", len(raw_value)) + raw_value
    return bytes(encoded)


def encode(payload: bytes, *headers: tuple[str, str]) -> bytes:
    raw = _encoded(headers)
    prelude = struct.pack("!II", FRAME_BYTES + len(raw) + len(payload), len(raw))
    body = b"".join((prelude, struct.pack("!I", crc32(prelude)), raw, payload))
    return body + struct.pack("!I", crc32(body))


def encode_event(payload: bytes) -> bytes:
    return encode(
        payload,
        (":event-type", "TranscriptEvent"),
        (":content-type", "application/json"),
        (":message-type", "event"),
    )


def encode_exception(name: str, payload: bytes) -> bytes:
    return encode(
        payload, (":exception-type", name), (":content-type", "application/json"), (":message-type", "exception")
    )
