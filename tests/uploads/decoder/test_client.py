"""The decoder's client: results, errors, and decoders that crash, hang, get cancelled or send nonsense."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pytest_django.fixtures import Settings

from tests import recordings
from tests.uploads.conftest import decoders
from uploads.decoder import client as decoder
from uploads.decoder.client import DecodingError, Probe

pytestmark = pytest.mark.usefixtures("nothing_left")


async def read(messages: AsyncGenerator[int, None]) -> list[int]:
    async with aclosing(messages):
        return [samples async for samples in messages]


def begin(tmp_path: Path, path: Path | None = None) -> AsyncGenerator[int, None]:
    """Start to decode `path`, or twelve hours of silence, which take long enough to interrupt."""
    path = path or recordings.long_silence(12 * 3_600)
    return decoder.decode(path, tmp_path / "sound", sample_rate=16_000, channels=1)


def the_decoder() -> int:
    (pid,) = decoders()
    return pid


def probe(path: Path) -> Probe:
    """Probe a file with one track. `test_tracks.py` tests the descriptions of tracks."""
    found = decoder.probe(path)
    assert len(found.tracks) == 1
    return replace(found, tracks=[])


def test_probe_returns_the_properties_of_a_file() -> None:
    found = probe(recordings.encode(recordings.speech(), "webm"))
    assert found == Probe("webm", "opus", 9.963, 48_000, 1, 0, [], False)


def test_probe_decodes_to_find_a_length_that_the_packets_do_not_declare() -> None:
    found = probe(recordings.encode(recordings.speech(), "mka"))
    assert found == Probe("matroska", "alac", 9.963, 16_000, 1, 0, [], False)


def test_probe_works_in_a_thread_of_a_running_event_loop() -> None:
    async def serve() -> Probe:
        return await asyncio.to_thread(probe, recordings.speech())

    assert asyncio.run(serve()) == Probe("wav", "pcm_s16le", 9.963, 16_000, 1, 0, [], True)


def test_probe_raises_the_decoders_sentence(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("No sound here. " * 100)
    with pytest.raises(DecodingError, match=r"^We couldn't read this file as audio or video\.$"):
        decoder.probe(tmp_path / "text")


async def test_decode_writes_samples_to_a_file(tmp_path: Path) -> None:
    found = await read(begin(tmp_path, recordings.speech()))
    assert found == sorted(found)
    assert found[-1] * 2 == (tmp_path / "sound").stat().st_size == 159_414 * 2


async def test_decode_never_reports_samples_that_are_not_written(tmp_path: Path) -> None:
    async with aclosing(begin(tmp_path, recordings.long_silence(700))) as decoded:
        async for samples in decoded:
            assert (tmp_path / "sound").stat().st_size >= samples * 2


async def test_decode_overwrites_an_existing_file(tmp_path: Path) -> None:
    (tmp_path / "sound").write_bytes(bytes(10_000_000))
    await read(begin(tmp_path, recordings.tone(1.0)))
    assert (tmp_path / "sound").stat().st_size == 32_000


async def test_find_peaks_returns_the_waveform() -> None:
    found = await decoder.find_peaks(recordings.speech("two_cities"))
    assert (len(found.peaks), found.duration, found.undecodable_seconds) == (1_000, 44.374125, 0.0)
    assert max(found.peaks) == 255


async def test_decode_raises_the_decoders_sentence(tmp_path: Path) -> None:
    with pytest.raises(DecodingError, match=r"^The file of this recording is missing\.$"):
        await read(begin(tmp_path, tmp_path / "gone"))


async def test_decode_raises_on_a_full_disk() -> None:
    decoded = decoder.decode(recordings.speech(), Path("/dev/full"), sample_rate=16_000, channels=1)
    with pytest.raises(DecodingError, match=r"^The disk is full\.$"):
        await read(decoded)


async def test_decode_raises_if_the_target_cannot_be_opened(tmp_path: Path) -> None:
    decoded = decoder.decode(recordings.speech(), tmp_path / "no" / "sound", sample_rate=16_000, channels=1)
    with pytest.raises(DecodingError, match="can't be stored"):
        await read(decoded)


async def test_decode_raises_for_a_recording_that_is_too_long(tmp_path: Path, settings: Settings) -> None:
    settings.MAX_AUDIO_SECONDS = 3_600
    with pytest.raises(DecodingError, match=r"^The recording is longer than 1 hours\.$"):
        await read(begin(tmp_path, recordings.long_silence(3_601)))
    assert (tmp_path / "sound").stat().st_size == 3_600 * 16_000 * 2


async def test_decode_raises_if_the_decoder_is_killed_and_keeps_the_samples(tmp_path: Path) -> None:
    async with aclosing(begin(tmp_path)) as decoded:
        samples = await anext(decoded)
        os.kill(the_decoder(), signal.SIGKILL)
        with pytest.raises(DecodingError, match=r"^The decoder stopped in the middle of this file\.$"):
            samples = max([later async for later in decoded], default=samples)
    assert (tmp_path / "sound").stat().st_size >= samples * 2


async def test_decode_raises_if_the_decoder_exceeds_its_cpu_time(tmp_path: Path) -> None:
    async with aclosing(begin(tmp_path)) as decoded:
        await anext(decoded)
        os.kill(the_decoder(), signal.SIGXCPU)
        with pytest.raises(DecodingError, match=r"^Decoding this file takes too long\.$"):
            async for _ in decoded:
                pass


async def test_kills_a_decoder_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with aclosing(begin(tmp_path)) as decoded:
        await anext(decoded)
        monkeypatch.setattr(decoder, "STALL_SECONDS", 0.3)
        os.kill(the_decoder(), signal.SIGSTOP)
        with pytest.raises(DecodingError, match=r"^The decoder got stuck in this file\.$"):
            async for _ in decoded:
                pass


def program(tmp_path: Path, text: str) -> Path:
    """Write a program that replaces the decoder, as if a hostile file controlled it or it were broken."""
    path = tmp_path / "__main__.py"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "import os; os.close(1); os.close(2); input()",  # runs on after closing its output
        "import sys; sys.stderr.write('x' * 10_000_000)",  # writes a line without an end
        "raise SystemExit(3)",
        "import os; os.abort()",
        "import sys; print('[1, 2]', 'null', '{', 'Illegal instruction', sep='\\n', file=sys.stderr)",
    ],
)
async def test_raises_if_a_decoder_sends_no_valid_messages(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder, "DECODER", program(tmp_path, text))
    monkeypatch.setattr(decoder, "EXIT_SECONDS", 0.2)
    with pytest.raises(DecodingError, match="stopped in the middle"):
        await read(begin(tmp_path))


async def test_ignores_lines_that_a_library_prints_in_the_decoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "import sys; print('Warning!', '{\"done\": true, \"samples\": 5}', sep='\\n', file=sys.stderr)"
    monkeypatch.setattr(decoder, "DECODER", program(tmp_path, text))
    assert await read(begin(tmp_path)) == [5]


async def test_raises_if_no_decoder_can_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    with pytest.raises(DecodingError, match="can't be started"):
        await read(begin(tmp_path))


async def test_closing_the_iterator_ends_the_decoder(tmp_path: Path) -> None:
    async with aclosing(begin(tmp_path)) as decoded:
        await anext(decoded)
        assert len(decoders()) == 1
    assert decoders() == []


async def test_cancelling_the_reader_ends_the_decoder(tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def decode() -> None:
        async with aclosing(begin(tmp_path)) as decoded:
            async for _ in decoded:
                begun.set()

    task = asyncio.create_task(decode())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert decoders() == []


async def test_cancelling_the_reader_at_any_moment_ends_the_decoder(tmp_path: Path) -> None:
    for turns in range(30):
        task = asyncio.create_task(read(begin(tmp_path)))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert decoders() == []


async def test_a_decoder_inherits_no_secrets_and_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    async with aclosing(begin(tmp_path)) as decoded:
        await anext(decoded)
        variables, descriptors = look_into(the_decoder())
    assert variables <= {*decoder.ENVIRONMENT, "OPENBLAS_NUM_THREADS"}
    assert descriptors == 4  # three streams and the recording


def look_into(pid: int) -> tuple[set[str], int]:
    """Return the names of a process's environment variables, and the number of its open files."""
    environment = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return {entry.split("=")[0] for entry in environment if entry}, len(list(Path(f"/proc/{pid}/fd").iterdir()))


def test_the_peaks_of_stereo_are_those_of_the_louder_channel() -> None:
    samples = np.zeros((16_000, 2))
    samples[:, 1] = 9_000
    found = asyncio.run(decoder.find_peaks(recordings.write_wav("right", samples, 16_000)))
    assert set(found.peaks) == {255}
