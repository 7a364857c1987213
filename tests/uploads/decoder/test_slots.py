"""Decoder slots: how many decoders run at once, which one is next, and how much memory a probe uses."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests import bombs
from tests.recordings import speech
from tests.uploads.conftest import decoders
from uploads.decoder import client as decoder
from uploads.decoder import slots
from uploads.decoder.client import DecodingError
from uploads.decoder.slots import Purpose, Slots

ALICE, BOB, CHARLIE = 1, 2, 3
MIB = 1024**2


class Holder:
    """Acquires slots of one `Slots` under names, and records the order in which they are granted."""

    def __init__(self) -> None:
        self.slots = Slots()
        self.granted: list[str] = []
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ends: dict[str, asyncio.Event] = {}

    async def ask(self, name: str, purpose: Purpose, person: int | None) -> None:
        """Start to acquire a slot. Returns when it is granted, or when it is clear that it has to wait."""
        self._ends[name] = asyncio.Event()
        self._tasks[name] = asyncio.create_task(self._hold(name, purpose, person))
        await self._settle()

    async def _hold(self, name: str, purpose: Purpose, person: int | None) -> None:
        async with self.slots.acquire(purpose, person):
            self.granted.append(name)
            await self._ends[name].wait()

    async def give_back(self, name: str) -> None:
        self._ends[name].set()
        await self._tasks[name]
        await self._settle()

    async def cancel(self, name: str) -> None:
        self._tasks[name].cancel()
        with suppress(asyncio.CancelledError):
            await self._tasks[name]
        await self._settle()

    @staticmethod
    async def _settle() -> None:
        for _ in range(10):  # call_soon_threadsafe resumes a task in the next step, and it ends a few steps later
            await asyncio.sleep(0)


async def test_a_probe_gets_a_slot_before_a_listening_copy_and_that_before_a_waveform() -> None:
    holder = Holder()
    for number in range(slots.MAX_DECODERS):
        await holder.ask(f"first {number}", Purpose.PROBE, None)
    await holder.ask("waveform", Purpose.WAVEFORM, ALICE)
    await holder.ask("listen", Purpose.LISTEN, ALICE)
    await holder.ask("probe", Purpose.PROBE, BOB)
    for number in range(slots.MAX_DECODERS):
        await holder.give_back(f"first {number}")
    assert holder.granted[slots.MAX_DECODERS :] == ["probe", "listen", "waveform"]


async def test_one_person_cannot_occupy_all_slots() -> None:
    holder = Holder()
    for number in range(4):
        await holder.ask(f"alice {number}", Purpose.PROBE, ALICE)
    await holder.ask("bob", Purpose.PROBE, BOB)
    assert holder.granted == ["alice 0", "alice 1", "bob"]


async def test_waveforms_are_made_one_at_a_time_and_in_turn_for_each_person() -> None:
    holder = Holder()
    for number in range(3):
        await holder.ask(f"alice {number}", Purpose.WAVEFORM, ALICE)
    await holder.ask("bob", Purpose.WAVEFORM, BOB)
    await holder.ask("charlie", Purpose.WAVEFORM, CHARLIE)
    for name in ("alice 0", "bob", "charlie", "alice 1"):
        assert holder.granted[-1] == name
        await holder.give_back(name)
    assert holder.granted[-1] == "alice 2"


async def test_a_cancelled_waiter_for_a_slot_does_not_block_the_next_one() -> None:
    holder = Holder()
    for name in ("held", "cancelled", "next"):
        await holder.ask(name, Purpose.WAVEFORM, ALICE)
    await holder.cancel("cancelled")
    await holder.give_back("held")
    assert holder.granted == ["held", "next"]
    await holder.cancel("next")
    await holder.ask("last", Purpose.WAVEFORM, ALICE)
    assert holder.granted[-1] == "last"


def resident(pid: int) -> int:
    """Return the resident memory of a process in bytes; 0 if it has ended."""
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))
    return 0


def test_hostile_probes_from_many_threads_stay_within_their_memory(tmp_path: Path) -> None:
    # The last two are small enough for the limit. The others would need 1.4 GiB each.
    entries = [bombs.ENTRIES] * 4 + [5_000_000] * 2
    paths = [bombs.mp4(tmp_path / f"{number}.mp4", count, kinds="ctts") for number, count in enumerate(entries)]
    most_decoders = most_memory = 0
    is_over = threading.Event()

    def look() -> None:
        nonlocal most_decoders, most_memory
        while not is_over.wait(0.02):
            found = decoders()
            most_decoders = max(most_decoders, len(found))
            most_memory = max(most_memory, sum(map(resident, found)))

    def probe(path: Path) -> None:
        with suppress(DecodingError):
            decoder.probe(path, ALICE)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        with ThreadPoolExecutor(len(paths)) as threads:
            hostile = [threads.submit(probe, path) for path in paths]
            assert decoder.probe(speech(), BOB).duration == pytest.approx(9.96, abs=0.01)
            assert not all(future.done() for future in hostile)  # Bob's probe did not wait for all of Alice's
            for future in hostile:
                future.result()
    finally:
        is_over.set()
        looking.join()
    assert 1 <= most_decoders <= slots.MAX_DECODERS
    assert most_memory < slots.MAX_DECODERS * 512 * MIB


def test_a_probe_that_needs_too_much_memory_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = bombs.mp4(tmp_path / "a.mp4", 2_000_000, tracks=20)
    with pytest.raises(DecodingError, match=r"^Decoding this file takes too much memory\.$"):
        decoder.probe(path)
