"""One person uploads eight small MP4 files at once, whose sample tables claim 40 million entries.

Measures the memory of all decoders together, and how long another file of the same person waits.
"""

import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.site import memory_mib, served
from tests import bombs, recordings

FILES = 8
PASSING_ENTRIES = 8_000_000
QUICK = {"FILES": 2}


def run() -> Iterator[tuple[str, str]]:
    with tempfile.TemporaryDirectory() as folder, served({"TRANSCRIBE_RUN_JOBS": "0"}) as (site, visitor):
        assert site.process is not None
        pid, memory, is_over = site.process.pid, [0.0], threading.Event()
        # The table of every other file fits into the memory of a probe.
        sizes = [bombs.ENTRIES if number % 2 else PASSING_ENTRIES for number in range(FILES)]
        paths = [bombs.mp4(Path(folder) / f"{number}.mp4", size) for number, size in enumerate(sizes)]

        def sample() -> None:
            while not is_over.wait(0.05):
                memory.append(memory_mib(pid).get("decoder", 0.0))

        def send(path: Path) -> int:
            with open(path, "rb") as file:
                return visitor.http.post("/uploads/", files={"file": (path.name, file)}).status_code

        sampling = threading.Thread(target=sample)
        sampling.start()
        began = time.perf_counter()
        with ThreadPoolExecutor(FILES + 1) as together:
            sent = [together.submit(send, path) for path in paths]
            other = together.submit(send, recordings.speech())
            statuses = [future.result() for future in sent]
            waited = time.perf_counter() - began if other.result() == 201 else float("nan")
        is_over.set()
        sampling.join()
    yield f"{FILES} hostile files at once: memory of all decoders, most", f"{max(memory):.0f} MiB (11,264 MiB before)"
    yield "answers to them", ", ".join(str(status) for status in sorted(set(statuses)))
    yield "until a real recording of the same person was stored", f"{waited:.1f} s"
