"""44 s of speech: the time to the first words and to the end, compared with the recogniser's library alone."""

import statistics
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.site import served, wait_until_idle, watch
from tests import recordings

RUNS = 5
RECORDING = "two_cities"
SECONDS = 44.37
QUICK = {"RUNS": 1, "RECORDING": "beckett", "SECONDS": 9.96}

# The recogniser's package by itself on the same file: no decoder, no database, no viewers.
PEER = """
import sys, time
from moonshine_voice import ModelArch
from moonshine_voice.transcriber import Transcriber
from moonshine_voice.utils import get_model_path, load_wav_file
transcriber = Transcriber(get_model_path("tiny-en"), ModelArch.TINY, update_interval=1.0,
                          options={"return_audio_data": "false", "identify_speakers": "false"})
samples, rate = load_wav_file(sys.argv[1])
began = time.perf_counter()
transcriber.start()
for index in range(0, len(samples), rate // 10):
    transcriber.add_audio(samples[index:index + rate // 10], rate)
transcriber.stop()
print(time.perf_counter() - began)
"""


def run() -> Iterator[tuple[str, str]]:
    firsts, wholes, peers = [], [], []
    with served() as (site, visitor):
        path = recordings.speech(RECORDING)
        upload = visitor.upload(path)
        for _ in range(RUNS):
            first = None
            for at, event in watch(visitor, upload):
                if event["type"] == "partial" and first is None:
                    first = at
            firsts.append(first or float("nan"))
            wholes.append(at)
            wait_until_idle(site.process.pid)  # type: ignore[union-attr]  # the spare recogniser of the next job has loaded its model
            peer_command = [sys.executable, "-c", PEER, str(path)]
            peers.append(float(subprocess.run(peer_command, capture_output=True, check=True).stdout))
    first, whole, peer = map(statistics.median, (firsts, wholes, peers))
    yield "from the request to the first partial at a viewer", f"{first:.2f} s (at most 2)"
    yield "whole transcript, of the recording's length", f"{whole / SECONDS:.3f} (at most 0.35)"
    yield "the library alone, of the recording's length", f"{peer / SECONDS:.3f}"
    ratios = sorted(whole / peer for whole, peer in zip(wholes, peers, strict=True))
    yield (
        "whole product to library alone, median of pairs",
        f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})",
    )
