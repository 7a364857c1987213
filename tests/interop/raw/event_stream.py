"""Encodes messages of AWS's event stream, and reads those of the client. Shares no code with the stand-in."""

import json
import struct
from typing import Any
from zlib import crc32

from streaming.engines.scripted import WORD_SECONDS


def message(payload: bytes, **headers: str) -> bytes:
    """Return a message of the event stream; `message_type` is the header `:message-type`."""
    raw = b"".join(
        bytes([len(name) + 1])
        + f":{name}".replace("_", "-").encode()
        + b"\x07"
        + struct.pack("!H", len(value))
        + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack("!II", 16 + len(raw) + len(payload), len(raw))
    body = prelude + struct.pack("!I", crc32(prelude)) + raw + payload
    return body + struct.pack("!I", crc32(body))


def event(payload: object, event_type: str = "TranscriptEvent") -> bytes:
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return message(raw, message_type="event", event_type=event_type, content_type="application/json")


def payload_of(raw: bytes) -> bytes:
    """Return the payload of the single message in `raw`. Checks its checksums."""
    total, headers_size, checksum = struct.unpack_from("!III", raw)
    assert total == len(raw)
    assert crc32(raw[:8]) == checksum
    assert crc32(raw[:-4]) == int.from_bytes(raw[-4:], "big")
    return raw[12 + headers_size : -4]


def result(words: list[tuple[str, float]], **fields: Any) -> dict[str, Any]:
    """Return an event's JSON for these words, changed by `fields`."""
    items = [
        {"Content": word, "StartTime": start, "EndTime": start + WORD_SECONDS, "Type": "pronunciation"}
        for word, start in words
    ]
    plain = {
        "ResultId": words[0][0],
        "StartTime": words[0][1],
        "EndTime": words[-1][1] + WORD_SECONDS,
        "IsPartial": False,
        "Alternatives": [{"Transcript": " ".join(word for word, _ in words), "Items": items}],
    }
    return {"Transcript": {"Results": [plain | fields]}}
