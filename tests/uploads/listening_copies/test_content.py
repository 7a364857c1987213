"""The content of listening copies, with their tracks, and how a copy is sent while it grows."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import AsyncClient
from mutagen.mp4 import MP4

from tests import recordings as made
from tests.multitrack import Sound, tone, write
from tests.uploads.listening_copies.conftest import (
    FORMATS,
    RATE,
    Stored,
    address,
    ask,
    content_of,
    copy_of,
    place_of,
    samples_of,
)
from uploads import listening_copies
from uploads.decoder import client as decoder
from uploads.models import Upload

pytestmark = pytest.mark.django_db(transaction=True)


async def spool_of(upload: Upload, path: Path) -> np.ndarray:
    async for _ in decoder.decode(Path(upload.file.path), path, sample_rate=16_000, channels=1):
        pass
    return np.fromfile(path, "<i2").astype(float)


def late_by(copy: np.ndarray, spool: np.ndarray) -> float:
    """Return by how many seconds the copy lags the spool, by their cross-correlation."""
    long = np.interp(np.arange(len(copy)) / RATE, np.arange(len(spool)) / 16_000, spool, right=0.0)
    size = 2 * len(copy)
    product = np.fft.irfft(np.fft.rfft(copy, size) * np.conj(np.fft.rfft(long, size)))
    lag = int(np.argmax(product))
    return (lag if lag < size // 2 else lag - size) / RATE


@pytest.mark.parametrize("suffix", sorted(FORMATS))
async def test_a_listening_copy_has_the_same_timeline_as_the_spool(
    suffix: str, stored: Stored, alice: User, tmp_path: Path
) -> None:
    upload = await sync_to_async(stored)(made.encode(made.speech(), suffix), f"talk.{suffix}")
    assert not upload.is_playable
    content = await copy_of(alice, upload)
    assert content[-200:] == place_of(upload).read_bytes()[-200:]
    copy, spool = samples_of(place_of(upload)), await spool_of(upload, tmp_path / "spool")
    assert len(copy) / RATE == pytest.approx(len(spool) / 16_000, abs=0.03)
    assert late_by(copy, spool) == pytest.approx(0.0, abs=0.001)
    # An independent demuxer finds the same properties.
    seen = MP4(place_of(upload)).info
    assert (seen.codec, seen.sample_rate, seen.channels) == ("mp4a.40.2", RATE, 1)
    assert seen.length == pytest.approx(len(spool) / 16_000, abs=0.03)


async def test_sends_a_listening_copy_while_it_grows_and_with_ranges_when_it_is_complete(
    stored: Stored, alice: User
) -> None:
    path = made.encode(made.silence(600.0), "aiff")
    upload = await sync_to_async(stored)(path, "long.aiff")
    response = await ask(alice, upload, Range="bytes=0-")
    assert (response.status_code, response["Accept-Ranges"]) == (200, "none")
    assert (response["Content-Type"], response["Cache-Control"]) == ("audio/mp4", "no-store")
    assert "Content-Length" not in response
    chunks = aiter(response)
    received = await anext(chunks)
    assert not place_of(upload).exists(), "the first bytes arrived before the copy was complete"
    received += b"".join([chunk async for chunk in chunks])
    whole = place_of(upload).read_bytes()
    # At the end FFmpeg changed the size of the second box, which the client had already received.
    assert (received[:36], received[44:]) == (whole[:36], whole[44:])

    part = await ask(alice, upload, Range="bytes=1000-1999")
    assert (part.status_code, part["Accept-Ranges"]) == (206, "bytes")
    assert part["Content-Range"] == f"bytes 1000-1999/{len(whole)}"
    assert await content_of(part) == whole[1000:2000]


async def test_the_beginning_of_a_growing_copy_has_the_edit_list_that_skips_priming(
    stored: Stored, alice: User, tmp_path: Path
) -> None:
    upload = await sync_to_async(stored)(made.encode(made.tone(600.0), "aiff"), "long.aiff")
    chunks = aiter(await ask(alice, upload))
    received = b""
    while len(received) < 30_000:
        received += await anext(chunks)
    assert not place_of(upload).exists(), "the first bytes arrived before the copy was complete"
    (tmp_path / "begin.mp4").write_bytes(received)
    with av.open(str(tmp_path / "begin.mp4")) as container:
        packet = next(container.demux(audio=0))
        assert (packet.pts, packet.time_base) == (-1024, Fraction(1, RATE)), "the edit list skips the priming samples"


async def test_head_starts_a_listening_copy_and_tells_whether_it_has_ranges(stored: Stored, alice: User) -> None:
    upload = await sync_to_async(stored)(made.encode(made.speech(), "aiff"), "talk.aiff")
    response = await ask(alice, upload, "head")
    assert (response.status_code, response["Accept-Ranges"], response.content) == (200, "none", b"")
    await content_of(await ask(alice, upload))
    response = await ask(alice, upload, "head")
    assert (response.status_code, response["Accept-Ranges"]) == (200, "bytes")
    assert int(response["Content-Length"]) == place_of(upload).stat().st_size


async def test_a_recording_that_browsers_play_gets_no_listening_copy(
    stored: Stored, alice: User, encodings: list[Path], files: Callable[[], list[str]]
) -> None:
    upload = await sync_to_async(stored)(made.speech(), "talk.wav")
    response = await ask(alice, upload, Range="bytes=100-199")
    assert (response.status_code, response["Content-Type"]) == (206, "audio/wav")
    assert await content_of(response) == made.speech().read_bytes()[100:200]
    assert (encodings, files()) == ([], [str(upload.pk)])


async def test_a_recording_with_undecodable_parts_gets_a_listening_copy(stored: Stored, alice: User) -> None:
    upload = await sync_to_async(stored)(made.speech(), "talk.wav", undecodable_seconds=0.5)
    response = await ask(alice, upload, "head")
    assert (response["Content-Type"], response["Accept-Ranges"]) == ("audio/mp4", "none")
    await content_of(await ask(alice, upload))


def volume_of(samples: np.ndarray, hz: float) -> float:
    times = np.arange(len(samples)) / RATE
    return float(2 * abs((samples / 32768 * np.exp(-2j * np.pi * hz * times)).mean()))


@pytest.mark.parametrize(
    ("query", "name", "pitches"), [("", "1", {700}), ("?track=0", "0", {300}), ("?track=all", "all", {300, 700})]
)
async def test_each_track_has_its_own_listening_copy(
    query: str, name: str, pitches: set[int], stored: Stored, alice: User, tmp_path: Path
) -> None:
    sounds = [Sound(tone(300, 3.0)), Sound(tone(700, 3.0), is_default=True)]
    upload = await sync_to_async(stored)(write(tmp_path / "two.mkv", sounds), "two.mkv")
    client = AsyncClient()
    await client.aforce_login(alice)
    content = await content_of(await client.get(address(upload) + query))
    assert len(content) > 10_000
    samples = samples_of(Path(upload.file.storage.path(listening_copies.name_of(upload.pk, name))))
    assert {hz for hz in (300, 700) if volume_of(samples, hz) > 0.05} == pitches
    part = await client.get(address(upload) + query, headers={"Range": "bytes=0-9"})
    assert part.status_code == 206


@pytest.mark.parametrize("track", ["1", "-1", "x", "99999", "0.0"])
async def test_a_listening_copy_of_a_missing_track_is_404(
    track: str, stored: Stored, alice: User, encodings: list[Path]
) -> None:
    upload = await sync_to_async(stored)(made.encode(made.speech(), "aiff"), "talk.aiff")
    client = AsyncClient()
    await client.aforce_login(alice)
    assert (await client.get(address(upload) + f"?track={track}")).status_code == 404
    assert encodings == []
