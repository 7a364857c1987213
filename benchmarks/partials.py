"""Live text of 177 s of speech: how often shown words change, and the duration of the whole job."""

import wave
from collections.abc import Iterator
from pathlib import Path

from benchmarks.site import served, watch
from tests import recordings

TIMES = 4  # repetitions of the recording of 44.4 s
QUICK = {"TIMES": 1}


def speech() -> Path:
    target = recordings.folder() / "two_cities-four-times.wav"
    with wave.open(str(recordings.speech("two_cities"))) as source, wave.open(str(target), "wb") as written:
        written.setparams(source.getparams())
        frames = source.readframes(source.getnframes())
        for _ in range(TIMES):
            written.writeframes(frames)
    return target


def run() -> Iterator[tuple[str, str]]:
    with served() as (_, visitor):
        upload = visitor.upload(speech())
        first, shown, promised = None, "", ""
        updates = changes = partials = finals = broken = words = 0
        for at, event in watch(visitor, upload):
            if event["type"] not in ("partial", "final"):
                duration = event.get("job", {}).get("duration", 0.0)
                continue
            first = first or at
            text = event["text"] if event["type"] == "partial" else event["segment"]["text"]
            updates += text != shown
            changes += not text.startswith(shown)
            if event["type"] == "partial":
                partials += 1
                assert text.startswith(promised), "a partial broke the stable prefix"
                shown, promised = text, text[: event.get("stable", 0)]
            else:
                finals += 1
                words += len(text.split())
                broken += not text.startswith(promised)
                shown = promised = ""
    yield "words", str(words)
    yield "whole transcript, of the recording's length", f"{at / duration:.3f} (before 0.112; at most 0.065)"
    yield "from the request to the first words", f"{first:.2f} s"
    yield "partials", f"{partials}, {partials / at:.1f} a second (before 9)"
    yield "updates that change shown text", f"{changes} of {updates}, {changes / updates:.0%} (before 91 %; under 15 %)"
    yield "finals that break the stable prefix", f"{broken} of {finals} (at most 1 %)"
