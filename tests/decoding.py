"""Decodes a recording completely before an engine reads it, for tests of Amazon's engine."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from uploads.decoder import client as decoder


def decode_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the decoder provide the audio only once it is decoded completely.

    The tests run faster than real time. While a decoder waits for the processor, the engine would insert silence within
    words, and the server could not read them.
    """
    decode = decoder.decode

    async def decode_all(*arguments: Any, **options: Any) -> AsyncGenerator[int, None]:
        async with aclosing(decode(*arguments, **options)) as decoded:
            counts = [samples async for samples in decoded]
        yield counts[-1]

    monkeypatch.setattr(decoder, "decode", decode_all)
