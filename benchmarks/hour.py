"""An hour of speech (the recogniser's recording in a loop): memory, duration, and the load times of pages."""

import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import av

from benchmarks.site import memory_mib, served, watch
from tests import recordings
from tests.visitor import Visitor

SECONDS = 3600
PAGE_LOADS = 10
SAMPLE_SECONDS = 1.0  # between two samples of the memory
QUICK = {"SECONDS": 30, "PAGE_LOADS": 2, "SAMPLE_SECONDS": 0.05}


def hour_of_speech() -> Path:
    """Return an MP3 that repeats the 44 s recording for an hour."""
    target = recordings.folder() / "hour.mp3"
    with av.open(str(recordings.speech("two_cities"))) as reader:
        resampler = av.AudioResampler("s16p", "mono", 16_000, frame_size=1152)
        frames = [part for frame in reader.decode(audio=0) for part in resampler.resample(frame)]
    with av.open(str(target), "w") as writer:
        stream = writer.add_stream("libmp3lame", rate=16_000, layout="mono")
        for index in range(SECONDS * 16_000 // 1152):
            frame = frames[index % len(frames)]
            frame.pts = index * 1152
            writer.mux(stream.encode(frame))
        writer.mux(stream.encode(None))
    return target


def median_load(visitor: Visitor, address: str) -> float:
    """Return the median time, in seconds, in which a page loads."""
    loads = []
    for _ in range(PAGE_LOADS):
        began = time.perf_counter()
        visitor.http.get(address).raise_for_status()
        loads.append(time.perf_counter() - began)
    return statistics.median(loads)


def run() -> Iterator[tuple[str, str]]:
    with served() as (site, visitor):
        upload = visitor.upload(hour_of_speech())
        memory: list[dict[str, float]] = []
        is_over = threading.Event()

        def sample() -> None:
            while not is_over.wait(SAMPLE_SECONDS):
                memory.append(memory_mib(site.process.pid))  # type: ignore[union-attr]

        sampling = threading.Thread(target=sample)
        sampling.start()
        halfway = None
        for at, event in watch(visitor, upload):
            job = event.get("job", {})
            if event["type"] == "final" and halfway is None and event["segment"]["end_time"] >= SECONDS / 2:
                halfway = at
        is_over.set()
        sampling.join()
        addresses = {
            "job page": f"/jobs/{job['id']}/",
            "transcript.vtt": f"/jobs/{job['id']}/transcript.vtt",
            "history": "/jobs/",
            "admin page": f"/admin/streaming/job/{job['id']}/change/",
        }
        pages = {name: median_load(visitor, address) for name, address in addresses.items()}
    yield "segments", str(job["segments"])
    yield "whole transcript, of the recording's length", f"{at / SECONDS:.3f}"
    yield (
        "second half's time to the first's",
        f"{(at - halfway) / halfway:.2f}" if halfway else "unknown",
    )
    for part in ("server", "recogniser", "decoder"):
        yield f"memory of the {part}, most", f"{max(sample.get(part, 0.0) for sample in memory):.0f} MiB"
    yield "memory of all together, most", f"{max(sum(sample.values()) for sample in memory):.0f} MiB (at most 600)"
    third = len(memory) // 3
    thirds = (memory[third : 2 * third], memory[2 * third :])
    early, late = (statistics.median(sum(sample.values()) for sample in part) for part in thirds)
    yield "memory, last third to middle third", f"{late / early:.2f}"
    for name, seconds in pages.items():
        yield f"{name}, median", f"{seconds * 1000:.0f} ms (at most 300)"
