"""Encoders of listening copies: players share one, and an encoder may be killed or fail."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from tests import recordings as made
from tests.uploads.conftest import decoders
from tests.uploads.listening_copies.conftest import RATE, Stored, ask, content_of, copy_of, place_of, samples_of
from uploads import listening_copies
from uploads.decoder import client as decoder
from uploads.models import Upload

pytestmark = pytest.mark.django_db(transaction=True)


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
