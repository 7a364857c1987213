"""The picture of a recording: decoded once, whoever looks, however often, and whoever leaves."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import OperationalError
from django.http import HttpResponse
from django.test import AsyncClient, Client
from django.urls import reverse

from tests import recordings as made
from tests.uploads.conftest import decoders
from tests.uploads.test_times import damaged as damaged_speech
from uploads import decoding, waveforms
from uploads.models import Upload, UploadQuerySet

pytestmark = pytest.mark.django_db(transaction=True)

Stored = Callable[..., Upload]


def address(upload: Upload) -> str:
    return reverse("upload-waveform", args=[upload.pk])


async def look(user: User, upload: Upload) -> HttpResponse:
    client = AsyncClient()
    await client.aforce_login(user)
    return await client.get(address(upload))


def outline(response: HttpResponse) -> list[tuple[float, float]]:
    """Return the corners of the picture, and check what a page relies on."""
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
    return stored(made.speech(), "interview.wav", duration=9.0)


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What was decoded for a waveform, in order, by the real decoder."""
    seen: list[Path] = []
    find_peaks = decoding.find_peaks

    async def counted(path: Path) -> decoding.Waveform:
        seen.append(path)
        return await find_peaks(path)

    monkeypatch.setattr(decoding, "find_peaks", counted)
    return seen


async def test_the_first_who_looks_has_it_decoded_and_kept(upload: Upload, alice: User, decodings: list[Path]) -> None:
    response = await look(alice, upload)
    assert response["Cache-Control"] == "private, max-age=31536000, immutable"
    assert len(outline(response)) == 2 * 1_000 + 4
    await upload.arefresh_from_db()
    assert len(upload.peaks) == 1_000
    assert upload.duration == 9.963375  # exact now
    again = await look(alice, upload)
    assert again.content == response.content
    assert decodings == [Path(upload.file.path)]


async def test_the_page_says_how_much_could_not_be_decoded(stored: Stored, alice: User, tmp_path: Path) -> None:
    damaged = await sync_to_async(damaged_speech)(tmp_path / "damaged.mkv", 300, 14)
    upload = await sync_to_async(stored)(damaged, "damaged.mkv", duration=9.0)
    await waveforms.peaks_of(upload)
    await upload.arefresh_from_db()
    assert upload.undecodable_seconds == pytest.approx(0.3, abs=0.03)
    client = AsyncClient()
    await client.aforce_login(alice)
    assert "0.3 s could not be decoded" in (await client.get(upload.get_absolute_url())).content.decode()


async def test_the_page_of_a_whole_file_says_nothing_of_damage(upload: Upload, alice: User) -> None:
    await waveforms.peaks_of(upload)
    client = AsyncClient()
    await client.aforce_login(alice)
    assert "decoded" not in (await client.get(upload.get_absolute_url())).content.decode()


async def test_two_who_look_at_once_wait_for_the_same_decoding(upload: Upload, decodings: list[Path]) -> None:
    same = await Upload.objects.aget(pk=upload.pk)
    first, second = await asyncio.gather(waveforms.peaks_of(upload), waveforms.peaks_of(same))
    assert first == second
    assert len(first) == 1_000
    assert len(decodings) == 1


async def test_one_recording_is_decoded_at_a_time(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    most, now = 0, 0
    find_peaks = decoding.find_peaks

    async def counted(path: Path) -> decoding.Waveform:
        nonlocal most, now
        now += 1
        most = max(most, now)
        try:
            return await find_peaks(path)
        finally:
            now -= 1

    monkeypatch.setattr(decoding, "find_peaks", counted)
    uploads = [await sync_to_async(stored)(made.tone(seconds)) for seconds in (0.5, 0.6, 0.7)]
    found = await asyncio.gather(*map(waveforms.peaks_of, uploads))
    assert [len(peaks) for peaks in found] == [1_000] * 3
    assert most == 1


async def test_who_leaves_does_not_end_it_for_the_others(upload: Upload, decodings: list[Path]) -> None:
    first, second = (asyncio.create_task(waveforms.peaks_of(upload)) for _ in range(2))
    while not decodings:
        await asyncio.sleep(0)
    first.cancel()
    assert len(await second) == 1_000
    assert first.cancelled()


async def test_it_is_kept_when_all_have_left(upload: Upload, decodings: list[Path]) -> None:
    looking = asyncio.create_task(waveforms.peaks_of(upload))
    while not decodings:
        await asyncio.sleep(0)
    looking.cancel()
    await asyncio.gather(*waveforms._work[asyncio.get_running_loop()].tasks.values())
    await upload.arefresh_from_db()
    assert upload.peaks is not None


async def test_what_cannot_be_decoded_is_a_flat_line_that_is_not_kept(upload: Upload, alice: User) -> None:
    Path(upload.file.path).write_bytes(b"no sound")  # noqa: ASYNC240
    response = await look(alice, upload)
    assert response.status_code == 200
    assert response["Cache-Control"] == "no-store"
    assert {y for _, y in outline(response)} == {49.5, 50.5}
    await upload.arefresh_from_db()
    assert upload.peaks is None


async def test_a_failure_that_nobody_waits_for_makes_no_noise(
    upload: Upload, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = tmp_path / "decoder.py"
    hanging.write_text("import time; time.sleep(600)")
    with monkeypatch.context() as patched:
        patched.setattr(decoding, "DECODER", hanging)
        looking = asyncio.create_task(waveforms.peaks_of(upload))
        while not decoders():
            await asyncio.sleep(0.001)
    (task,) = waveforms._work[asyncio.get_running_loop()].tasks.values()
    looking.cancel()
    os.kill(decoders()[0], signal.SIGKILL)
    await asyncio.wait([task])
    del task
    assert "never retrieved" not in caplog.text
    assert len(await waveforms.peaks_of(upload)) == 1_000  # and the next who looks has it decoded


async def test_it_is_shown_even_if_it_cannot_be_kept(
    upload: Upload, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: object, **__: object) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr(UploadQuerySet, "update", locked)
    assert len(outline(await look(alice, upload))) == 2_004


async def test_a_recording_that_is_deleted_meanwhile_stays_deleted(upload: Upload, decodings: list[Path]) -> None:
    looking = asyncio.create_task(waveforms.peaks_of(upload))
    while not decodings:
        await asyncio.sleep(0)
    await Upload.objects.filter(pk=upload.pk).adelete()
    assert len(await looking) == 1_000
    assert not await Upload.objects.aexists()


def test_silence_is_a_line_and_loudness_fills_the_height() -> None:
    corners = [
        pair.split(",") for pair in waveforms.picture(bytes([0, 255])).split('points="')[1].split('"')[0].split()
    ]
    assert [float(y) for _, y in corners] == [49.5, 49.5, 0, 49.5, 50.5, 100, 50.5, 50.5]


def test_a_small_picture_keeps_what_is_loud(upload: Upload, alice: User, client_of: Callable[[User], Client]) -> None:
    Upload.objects.filter(pk=upload.pk).update(peaks=bytes(999) + b"\xff")
    corners = outline(client_of(alice).get(address(upload) + "?small"))
    assert len(corners) == 2 * waveforms.SMALL + 4
    assert [x for x, y in corners if y == 0] == [waveforms.SMALL - 0.5]


def test_a_synchronous_server_can_show_it_too(upload: Upload, alice: User, client_of: Callable[[User], Client]) -> None:
    assert len(outline(client_of(alice).get(address(upload)))) == 2_004


async def test_staff_see_it_and_strangers_do_not(upload: Upload, bob: User, charlie: User) -> None:
    assert (await look(bob, upload)).status_code == 200
    response = await look(charlie, upload)
    assert response.status_code == 404
    assert b"svg" not in response.content[:10]


def test_who_is_not_signed_in_does_not_see_it(upload: Upload) -> None:
    response = Client().get(address(upload))
    assert (response.status_code, response.url) == (302, f"/accounts/login/?next={address(upload)}")


def test_only_reads(upload: Upload, alice: User, client_of: Callable[[User], Client]) -> None:
    for method in ("post", "put", "delete", "patch"):
        assert getattr(client_of(alice), method)(address(upload)).status_code == 405
