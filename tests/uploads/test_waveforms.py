"""Waveforms: the decoder makes each once, in the background, and until then the view answers with a flat line."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import OperationalError
from django.http import HttpResponse
from django.test import AsyncClient, Client
from django.urls import reverse

from tests import multitrack, recordings
from tests.multitrack import Sound
from tests.uploads.decoder.test_word_times import damaged as damaged_speech
from uploads import waveforms
from uploads.decoder import client as decoder
from uploads.models import TrackWaveform, Upload, UploadQuerySet

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE_SECONDS = 30.0  # the limit for events that happen at once unless the machine is busy
Stored = Callable[..., Upload]


def address(upload: Upload) -> str:
    return reverse("upload-waveform", args=[upload.pk])


async def get_waveform(user: User, upload: Upload, query: str = "") -> HttpResponse:
    client = AsyncClient()
    await client.aforce_login(user)
    return await client.get(address(upload) + query)


def outline(response: HttpResponse) -> list[tuple[float, float]]:
    """Return the corners of the picture. Asserts the properties that pages rely on."""
    assert response["Content-Type"] == "image/svg+xml"
    assert response["Content-Security-Policy"] == "sandbox; default-src 'none'"
    svg = ElementTree.fromstring(response.content)
    assert svg.tag == "{http://www.w3.org/2000/svg}svg"
    assert svg.get("preserveAspectRatio") == "none"
    (polygon,) = svg
    assert polygon.get("fill") == "#767676"
    corners = [tuple(map(float, corner.split(","))) for corner in (polygon.get("points") or "").split()]
    _, _, width, height = map(float, (svg.get("viewBox") or "").split())
    assert all(0 <= x <= width and 0 <= y <= height for x, y in corners)
    return corners


@pytest.fixture
def upload(stored: Stored) -> Upload:
    return stored(recordings.speech(), "interview.wav", duration=9.0)


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were decoded for waveforms, in order. The decoder is real."""
    seen: list[Path] = []
    find_peaks = decoder.find_peaks

    async def counted(path: Path, track: str) -> decoder.Waveform:
        seen.append(path)
        return await find_peaks(path, track)

    monkeypatch.setattr(decoder, "find_peaks", counted)
    return seen


async def made() -> None:
    """Wait until all waveforms of this event loop are made."""
    while tasks := [task for task in waveforms._tasks[asyncio.get_running_loop()].values() if not task.done()]:
        await asyncio.wait(tasks)


async def test_the_first_request_for_a_waveform_gets_a_flat_line_and_starts_decoding(
    upload: Upload, alice: User, decodings: list[Path]
) -> None:
    flat = await get_waveform(alice, upload)
    assert (flat.status_code, flat["Cache-Control"]) == (200, "no-store")
    assert {y for _, y in outline(flat)} == {49.5, 50.5}
    await made()
    response = await get_waveform(alice, upload)
    assert response["Cache-Control"] == "private, max-age=31536000, immutable"
    assert len(outline(response)) == 2 * 1_000 + 4
    await upload.arefresh_from_db()
    assert len(upload.peaks) == 1_000
    assert upload.duration == 9.963375  # decoding has found the exact duration
    again = await get_waveform(alice, upload)
    assert again.content == response.content
    assert decodings == [Path(upload.file.path)]


async def test_the_page_of_a_damaged_recording_says_how_much_could_not_be_decoded(
    stored: Stored, alice: User, tmp_path: Path
) -> None:
    damaged = await sync_to_async(damaged_speech)(tmp_path / "damaged.mkv", 300, 14)
    upload = await sync_to_async(stored)(damaged, "damaged.mkv", duration=9.0)
    waveforms.make(upload)
    await made()
    await upload.arefresh_from_db()
    assert upload.undecodable_seconds == pytest.approx(0.3, abs=0.03)
    client = AsyncClient()
    await client.aforce_login(alice)
    assert "0.3 s could not be decoded" in (await client.get(upload.get_absolute_url())).content.decode()


async def test_the_page_of_an_undamaged_recording_does_not_mention_damage(upload: Upload, alice: User) -> None:
    waveforms.make(upload)
    await made()
    client = AsyncClient()
    await client.aforce_login(alice)
    assert "could not be decoded" not in (await client.get(upload.get_absolute_url())).content.decode()


async def test_an_upload_starts_its_waveform(alice: User, decodings: list[Path]) -> None:
    client = AsyncClient()
    await client.aforce_login(alice)
    with open(recordings.speech(), "rb") as file:  # noqa: ASYNC230 a file of the test
        await client.post(reverse("upload-create"), {"file": file})
    await made()
    upload = await Upload.objects.aget()
    assert len(upload.peaks or b"") == 1_000
    assert decodings == [Path(upload.file.path)]


async def test_waveform_requests_do_not_wait_for_a_decoder(
    upload: Upload, alice: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = tmp_path / "__main__.py"
    hanging.write_text("import time; time.sleep(600)")
    monkeypatch.setattr(decoder, "DECODER", hanging)
    for _ in range(2):
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert (await get_waveform(alice, upload))["Cache-Control"] == "no-store"
    (task,) = waveforms._tasks[asyncio.get_running_loop()].values()
    task.cancel()
    await asyncio.wait([task])


async def test_each_track_has_its_own_waveform(stored: Stored, alice: User, tmp_path: Path) -> None:
    loud = np.concatenate([multitrack.tone(300, 1.0), multitrack.silence(3.0)])
    late = np.concatenate([multitrack.silence(3.0), multitrack.tone(300, 1.0)])
    path = multitrack.write(tmp_path / "a.mkv", [Sound(loud, codec="flac"), Sound(late, codec="flac")])
    upload = await sync_to_async(stored)(path)
    for track in ("0", "1", "all"):
        await get_waveform(alice, upload, f"?track={track}")
    await made()
    await upload.arefresh_from_db()
    found = {track: await sync_to_async(waveforms.peaks_of)(upload, track) for track in ("", "0", "1", "all")}
    loudness = {track: [peaks[part * 250 + 125] > 0 for part in range(4)] for track, peaks in found.items()}
    first, last = [True, False, False, False], [False, False, False, True]
    assert loudness == {"": first, "0": first, "1": last, "all": [True, False, False, True]}
    assert upload.duration == pytest.approx(4.0, abs=0.01)
    assert (await get_waveform(alice, upload, "?track=1"))["Cache-Control"] == "private, max-age=31536000, immutable"
    for wrong in ("2", "x", "-1"):
        assert (await get_waveform(alice, upload, f"?track={wrong}")).status_code == 404


async def test_a_waveform_that_is_requested_twice_is_decoded_once(upload: Upload, decodings: list[Path]) -> None:
    same = await Upload.objects.aget(pk=upload.pk)
    assert waveforms.make(upload) is waveforms.make(same)
    await made()
    assert len(decodings) == 1


async def test_waveforms_are_made_one_at_a_time_and_in_turn_for_each_person(
    stored: Stored, alice: User, charlie: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    most, now, order = 0, 0, []
    find_peaks = decoder.find_peaks

    async def counted(path: Path, track: str) -> decoder.Waveform:
        nonlocal most, now
        now += 1
        most = max(most, now)
        order.append(path.name)
        try:
            return await find_peaks(path, track)
        finally:
            now -= 1

    monkeypatch.setattr(decoder, "find_peaks", counted)
    mine = [await sync_to_async(stored)(recordings.tone(seconds)) for seconds in (0.5, 0.6, 0.7)]
    other = await sync_to_async(stored)(recordings.tone(0.8), owner=charlie)
    for upload in (*mine, other):
        waveforms.make(upload)
    await made()
    assert await Upload.objects.filter(peaks=None).acount() == 0
    assert order == [str(upload.pk) for upload in (mine[0], other, mine[1], mine[2])]
    assert most == 1


async def test_a_failed_waveform_is_not_decoded_again_at_each_request(
    upload: Upload, alice: User, decodings: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = Path(upload.file.path).read_bytes()  # noqa: ASYNC240
    Path(upload.file.path).write_bytes(b"no sound")  # noqa: ASYNC240
    for _ in range(3):
        assert (await get_waveform(alice, upload))["Cache-Control"] == "no-store"
        await made()
    assert len(decodings) == 1
    Path(upload.file.path).write_bytes(content)  # noqa: ASYNC240
    waveforms._tasks[asyncio.get_running_loop()].clear()  # as a minute later
    await get_waveform(alice, upload)
    await made()
    assert (await get_waveform(alice, upload))["Cache-Control"] != "no-store"


async def test_a_waveform_that_cannot_be_stored_is_shown_as_a_flat_line(
    upload: Upload, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: object, **__: object) -> None:
        raise OperationalError("database is locked")

    with monkeypatch.context() as patched:
        patched.setattr(UploadQuerySet, "update", locked)
        await get_waveform(alice, upload)
        await made()
    response = await get_waveform(alice, upload)
    assert {y for _, y in outline(response)} == {49.5, 50.5}


@pytest.mark.parametrize("track", ["", "1"])
async def test_a_recording_that_is_deleted_while_its_waveform_is_made_stays_deleted(
    upload: Upload, decodings: list[Path], track: str
) -> None:
    waveforms.make(upload, track)
    while not decodings:
        await asyncio.sleep(0)
    await Upload.objects.filter(pk=upload.pk).adelete()
    await made()
    assert not await Upload.objects.aexists()
    assert not await TrackWaveform.objects.aexists()


def test_the_waveform_of_silence_is_a_line_and_that_of_full_volume_fills_the_height() -> None:
    corners = [
        pair.split(",") for pair in waveforms.picture(bytes([0, 255])).split('points="')[1].split('"')[0].split()
    ]
    assert [float(y) for _, y in corners] == [49.5, 49.5, 0, 49.5, 50.5, 100, 50.5, 50.5]


def test_a_small_waveform_keeps_the_loudest_peak(
    upload: Upload, alice: User, client_of: Callable[[User], Client]
) -> None:
    Upload.objects.filter(pk=upload.pk).update(peaks=bytes(999) + b"\xff")
    corners = outline(client_of(alice).get(address(upload) + "?small"))
    assert len(corners) == 2 * waveforms.SMALL + 4
    assert [x for x, y in corners if y == 0] == [waveforms.SMALL - 0.5]


def test_a_synchronous_server_answers_with_a_flat_waveform(
    upload: Upload, alice: User, client_of: Callable[[User], Client]
) -> None:
    assert len(outline(client_of(alice).get(address(upload)))) == 2 * 2 + 4


async def test_staff_see_a_waveform_and_strangers_get_404(upload: Upload, bob: User, charlie: User) -> None:
    assert (await get_waveform(bob, upload)).status_code == 200
    response = await get_waveform(charlie, upload)
    assert response.status_code == 404
    assert b"svg" not in response.content[:10]


def test_an_anonymous_request_for_a_waveform_is_redirected_to_the_sign_in_page(upload: Upload) -> None:
    response = Client().get(address(upload))
    assert (response.status_code, response.url) == (302, f"/accounts/login/?next={address(upload)}")


def test_the_waveform_view_accepts_only_get_and_head(
    upload: Upload, alice: User, client_of: Callable[[User], Client]
) -> None:
    for method in ("post", "put", "delete", "patch"):
        assert getattr(client_of(alice), method)(address(upload)).status_code == 405
