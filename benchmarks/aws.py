"""Amazon's engine on the stand-in, next to the SDK as it comes."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streaming.engines.scripted import WORD_SECONDS, say

SECONDS = 20


@contextmanager
def standin(*arguments: str) -> Iterator[dict[str, str]]:
    """A stand-in in a process of its own; yields the environment that leads to it."""
    command = [sys.executable, "-m", "tests.standin", "--quota", "1000", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "\n")
        yield dict(line.rstrip("\n").split("=", 1) for line in lines)
        process.terminate()


def numbers(path: Path, seconds: int, first: int = 0) -> Path:
    count = round(seconds / WORD_SECONDS)
    path.write_bytes(b"".join(say(number).tobytes() for number in range(first, first + count)))
    return path


def measure(way: str, streams: int, environ: dict[str, str], path: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.streams", way, str(streams), str(SECONDS), str(path)]
    run = subprocess.run(command, env=os.environ | environ, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(run.stdout)
    assert figures["words"] == SECONDS / WORD_SECONDS, "a word is missing"
    return figures


def transport() -> Iterator[tuple[str, str]]:
    with tempfile.TemporaryDirectory() as folder, standin() as environ:
        path = numbers(Path(folder) / "numbers.pcm", SECONDS)
        pairs = [(measure("sdk", 1, environ, path), measure("ours", 1, environ, path)) for _ in range(3)]
        plain, own = sorted(pairs, key=lambda pair: pair[0]["cores"] / pair[1]["cores"])[1]
        yield "one stream, the SDK's example", f"{plain['cores']:.3f} cores"
        yield "one stream, ours", f"{own['cores']:.3f} cores"
        yield "the example's to ours, median of 3 pairs", f"{plain['cores'] / own['cores']:.0f} (at least 20)"
        for streams in (25, 200):
            many = measure("ours", streams, environ, path)
            yield (
                f"{streams} streams, ours",
                f"{many['cores']:.3f} cores, {many['ms_a_stream_second']:.2f} ms a stream-second, "
                f"lag p99 {many['lag_p99_ms']:.1f} ms, {many['took']:.1f} s",
            )
        plain = measure("sdk", 25, environ, path)
        yield "25 streams, the SDK's example", f"{plain['cores']:.3f} cores, lag p99 {plain['lag_p99_ms']:.1f} ms"
