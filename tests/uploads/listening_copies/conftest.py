"""Helpers for tests of listening copies: requests, the stored file, its samples, and the encoders that were started."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from django.contrib.auth.models import User
from django.http import HttpResponseBase
from django.test import AsyncClient
from django.urls import reverse

from uploads import listening_copies
from uploads.decoder import client as decoder
from uploads.models import Upload

Stored = Callable[..., Upload]
RATE = 48_000
FORMATS = {"wma", "aiff", "caf", "amr", "ts", "mka", "ogg", "webm", "mp4", "avi"}  # keys of `made.FORMATS`


def address(upload: Upload) -> str:
    return reverse("upload-listen", args=[upload.pk])


async def ask(user: User, upload: Upload, method: str = "get", **headers: str) -> HttpResponseBase:
    client = AsyncClient()
    await client.aforce_login(user)
    return await getattr(client, method)(address(upload), headers=headers)


async def content_of(response: HttpResponseBase) -> bytes:
    if not response.streaming:
        return bytes(response.content)
    return b"".join([chunk async for chunk in response])


async def copy_of(user: User, upload: Upload) -> bytes:
    """Request a listening copy and return its content. The server has stored it when this returns."""
    response = await ask(user, upload)
    assert response.status_code == 200
    return await content_of(response)


def samples_of(path: Path) -> np.ndarray:
    """Decode a finished copy as a player does, up to its end."""
    with av.open(str(path)) as container:
        (stream,) = container.streams
        pieces = [frame.to_ndarray()[0] for frame in container.decode(stream)]
    return np.concatenate(pieces).astype(float) * 32768


def place_of(upload: Upload) -> Path:
    return Path(upload.file.storage.path(listening_copies.name_of(upload.pk, "0")))


@pytest.fixture
def encodings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The target files of the encoders that were started, in order. The encoders are real."""
    seen: list[Path] = []
    encode_copy = decoder.encode_copy

    def counted(path: Path, target: Path, **options: int) -> object:
        seen.append(target)
        return encode_copy(path, target, **options)

    monkeypatch.setattr(decoder, "encode_copy", counted)
    return seen
