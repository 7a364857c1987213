"""Listening copies: their timeline, playing a growing copy, sharing an encoder, errors, access checks, deletion."""

import asyncio
import json
import os
import shutil
import signal
import uuid
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.http import HttpResponseBase
from django.test import AsyncClient, Client
from django.urls import reverse
from mutagen.mp4 import MP4
from pytest_django import Settings

from tests import recordings as made
from tests.disks import filled
from tests.multitrack import Sound, tone, write
from tests.s3 import Bucket
from tests.uploads.conftest import decoders
from uploads import listening_copies, recordings
from uploads.decoder import client as decoder
from uploads.files import storage as file_storage
from uploads.models import Upload

pytestmark = pytest.mark.django_db(transaction=True)

Stored = Callable[..., Upload]
ClientOf = Callable[[User], Client]
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


async def test_concurrent_players_share_one_encoder(stored: Stored, alice: User, encodings: list[Path]) -> None:
    upload = await sync_to_async(stored)(made.encode(made.speech(), "aiff"), "talk.aiff")
    answers = await asyncio.gather(*(ask(alice, upload) for _ in range(5)))
    bodies = await asyncio.gather(*map(content_of, answers))
    assert {len(body) for body in bodies} == {place_of(upload).stat().st_size}
    assert len(encodings) == 1
    await copy_of(alice, upload)
    assert len(encodings) == 1


async def test_a_listening_copy_is_finished_after_its_players_disconnect(stored: Stored, alice: User) -> None:
    upload = await sync_to_async(stored)(made.encode(made.speech(), "aiff"), "talk.aiff")
    response = await ask(alice, upload)
    await anext(aiter(response))
    response.close()
    copy = listening_copies.make(upload, "0")
    async for _ in copy.chunks():
        pass
    assert len(samples_of(place_of(upload))) == pytest.approx(9.963 * RATE, abs=RATE / 20)


async def test_two_processes_that_make_the_same_listening_copy_store_one_whole_file(
    stored: Stored, alice: User, files: Callable[[], list[str]]
) -> None:
    upload = await sync_to_async(stored)(made.encode(made.speech(), "aiff"), "talk.aiff")
    first = listening_copies.make(upload, "0")
    listening_copies._growing_copies.clear()  # another process would not know of the first copy
    second = listening_copies.make(upload, "0")
    assert first is not second
    for copy in (first, second):
        async for _ in copy.chunks():
            pass
    assert files() == sorted(["0.mp4", str(upload.pk)])
    assert len(samples_of(place_of(upload))) == pytest.approx(9.963 * RATE, abs=RATE / 20)


async def test_a_killed_encoder_leaves_no_file_and_its_players_get_the_error(
    stored: Stored, alice: User, files: Callable[[], list[str]]
) -> None:
    upload = await sync_to_async(stored)(made.encode(made.silence(3600.0), "flac"), "long.flac")
    await Upload.objects.aupdate(is_playable=False)
    response = await ask(alice, upload)
    chunks = aiter(response)
    await anext(chunks)
    (encoder,) = decoders()
    os.kill(encoder, signal.SIGKILL)
    with pytest.raises(decoder.DecodingError, match="stopped in the middle"):
        async for _ in chunks:
            pass
    assert files() == [str(upload.pk)]
    # A request right after the failure does not start another encoder.
    response = await ask(alice, upload)
    assert response.status_code == 422
    assert response.content.decode() == "The decoder stopped in the middle of this file."
    assert (await ask(alice, upload, "head")).status_code == 422
    assert decoders() == []


async def test_a_failed_listening_copy_is_tried_again_after_the_pause(
    stored: Stored, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = await sync_to_async(stored)(made.encode(made.speech(), "aiff"), "talk.aiff")
    monkeypatch.setattr(listening_copies, "FAILED_SECONDS", 0.0)
    aside = f"{upload.file.path}.aside"
    os.rename(upload.file.path, aside)
    response = await ask(alice, upload)
    assert (response.status_code, response.content) == (422, b"The file of this recording is missing.")
    os.rename(aside, upload.file.path)
    await asyncio.sleep(0)  # lets the event loop run the call that removes the failure
    assert await copy_of(alice, upload)


FULL = "The server's disk is full. Nothing was changed; try again later."


async def assert_full(user: User, upload: Upload) -> None:
    """Assert that every request for the copy is answered with 507, repeated requests too."""
    for method in ("get", "head"):
        assert (await ask(user, upload, method)).status_code == 507
    response = await ask(user, upload, Accept="application/json")
    assert (response.status_code, json.loads(await content_of(response))) == (507, {"error": FULL})


@pytest.mark.parametrize("is_decoder_first", [True, False], ids=["the decoder", "the storage"])
async def test_a_full_disk_refuses_a_listening_copy_with_507(
    is_decoder_first: bool, stored: Stored, alice: User, storage: Path, small_disk: Path, settings: Settings
) -> None:
    upload = await sync_to_async(stored)(made.encode(made.speech(), "aiff"), "talk.aiff")
    if is_decoder_first:
        settings.FILE_UPLOAD_TEMP_DIR = small_disk
    else:
        (storage / "media/listen").symlink_to(small_disk)
    with filled(small_disk):
        if not is_decoder_first:  # the first request receives the growing copy until storing it fails
            with pytest.raises(OSError, match="No space left"):
                await content_of(await ask(alice, upload))
        await assert_full(alice, upload)
    assert [name for *_, names in os.walk(small_disk) for name in names] == []


async def test_a_disk_that_becomes_full_breaks_off_the_growing_copy_and_refuses_the_next_with_507(
    stored: Stored, alice: User, small_disk: Path, settings: Settings
) -> None:
    upload = await sync_to_async(stored)(made.encode(made.tone(600.0), "aiff"), "long.aiff")
    settings.FILE_UPLOAD_TEMP_DIR = small_disk
    with filled(small_disk, free_bytes=1024**2):
        with pytest.raises(decoder.DecodingError, match=r"^The disk is full\.$"):
            await content_of(await ask(alice, upload))
        await assert_full(alice, upload)


@pytest.mark.usefixtures("in_bucket")
async def test_a_disk_without_room_for_a_file_from_the_bucket_refuses_its_listening_copy_with_507(
    stored: Stored, alice: User, small_disk: Path, settings: Settings
) -> None:
    upload = await sync_to_async(stored)(made.encode(made.speech(), "aiff"), "talk.aiff")
    settings.FILE_UPLOAD_TEMP_DIR = small_disk
    with filled(small_disk):
        await assert_full(alice, upload)


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


@pytest.mark.parametrize(
    ("path", "is_playable"),
    [
        (made.tone(1.0), True),
        (made.tone(1.0, channels=2, rate=44_100), True),
        (made.tone(1.0, channels=4), False),
        (made.encode(made.speech(), "flac"), True),
        *((made.encode(made.speech(), suffix), False) for suffix in sorted(FORMATS)),
    ],
)
def test_only_files_that_every_browser_plays_at_the_right_times_are_playable(
    path: Path, is_playable: bool, stored: Stored
) -> None:
    assert stored(path).is_playable is is_playable


@pytest.mark.parametrize("declared", [0, 0xFFFFFFFF, 32_002])
def test_a_wav_with_a_wrong_length_in_its_header_is_not_playable(declared: int, stored: Stored, tmp_path: Path) -> None:
    content = bytearray(made.tone(1.0).read_bytes())
    content[40:44] = declared.to_bytes(4, "little")
    (tmp_path / "cut.wav").write_bytes(content)
    assert stored(tmp_path / "cut.wav").is_playable is False


# Tracks


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


# Access checks and deletion


async def test_only_people_who_may_see_a_recording_can_play_its_listening_copy(
    stored: Stored, alice: User, bob: User, charlie: User, encodings: list[Path]
) -> None:
    upload = await sync_to_async(stored)(made.encode(made.speech(), "aiff"), "talk.aiff")
    for method in ("get", "head"):
        assert (await ask(charlie, upload, method)).status_code == 404
        assert (await getattr(AsyncClient(), method)(address(upload))).status_code == 302
    assert (await ask(alice, upload, "post")).status_code == 405
    assert encodings == []
    await copy_of(bob, upload)
    for headers in ({}, {"Range": "bytes=0-9"}):
        assert (await ask(charlie, upload, **headers)).status_code == 404
        assert (await AsyncClient().get(address(upload), headers=headers)).status_code == 302
    assert (await ask(bob, upload, Range="bytes=0-9")).status_code == 206
    client = AsyncClient()
    await client.aforce_login(alice)
    assert (await client.get(reverse("upload-listen", args=[uuid.uuid4()]))).status_code == 404


async def test_a_listening_copy_is_deleted_with_its_recording(
    stored: Stored, alice: User, storage: Path, files: Callable[[], list[str]]
) -> None:
    upload = await sync_to_async(stored)(made.encode(made.speech(), "aiff"), "talk.aiff")
    await copy_of(alice, upload)
    folder = place_of(upload).parent
    await sync_to_async(recordings.delete)(upload)
    assert (files(), folder.exists()) == ([], False)


async def test_the_listening_copy_of_a_recording_that_is_deleted_meanwhile_is_removed(
    stored: Stored, alice: User, files: Callable[[], list[str]]
) -> None:
    upload = await sync_to_async(stored)(made.encode(made.silence(600.0), "aiff"), "long.aiff")
    response = await ask(alice, upload)
    chunks = aiter(response)
    await anext(chunks)
    await sync_to_async(recordings.delete)(upload)
    async for _ in chunks:
        pass
    assert files() == []


@pytest.mark.usefixtures("in_bucket")
async def test_a_listening_copy_is_stored_in_the_bucket_of_the_recordings(
    stored: Stored, alice: User, bucket: Bucket, files: Callable[[], list[str]], tmp_path: Path
) -> None:
    upload = await sync_to_async(stored)(made.encode(made.speech(), "aiff"), "talk.aiff")
    await copy_of(alice, upload)
    name = listening_copies.name_of(upload.pk, "0")
    assert (sorted(bucket.names()), files()) == (sorted([upload.file.name, name]), [])
    (tmp_path / "copy.mp4").write_bytes(bucket.content(name))
    assert len(samples_of(tmp_path / "copy.mp4")) == pytest.approx(9.963 * RATE, abs=RATE / 20)
    part = await ask(alice, upload, Range="bytes=5-14")
    assert (part.status_code, await content_of(part)) == (206, bucket.content(name)[5:15])
    bucket.gate.shut()
    assert (await ask(alice, upload)).status_code == 503
    bucket.gate.open()
    await sync_to_async(recordings.delete)(upload)
    assert bucket.names() == []


def test_put_stores_a_whole_file_from_another_disk(storage: Path, tmp_path: Path) -> None:
    other = Path("/dev/shm")
    if not os.access(other, os.W_OK) or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("There is no second disk here.")
    folder = Path(shutil.copytree(tmp_path, other / f"transcribe-{uuid.uuid4()}"))
    try:
        (folder / "source").write_bytes(b"whole")
        file_storage.put(Upload._meta.get_field("file").storage, "listen/00/0.mp4", folder / "source")
        assert [path.name for path in (storage / "media").rglob("*") if path.is_file()] == ["0.mp4"]
        assert (storage / "media/listen/00/0.mp4").read_bytes() == b"whole"
    finally:
        shutil.rmtree(folder)
