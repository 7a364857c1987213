"""Files of many kinds, compared with the clean audio: their length, and the places of their first and last words.

"Beginning" and "end" come from a cross-correlation of the spool with the clean audio. "Words" compares the transcripts
of the built-in recogniser, word by word.
"""

import difflib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests import media
from tests.media import RATE

Words = list[tuple[str, float]]
KINDS, HOUR = media.KINDS, media.HOUR
QUICK = {"KINDS": KINDS[:1], "HOUR": HOUR[:0]}
TOLERANCES = "at most 20 ms off after 20 s, 50 ms after an hour; words 200 ms"


def run() -> Iterator[tuple[str, str]]:
    yield "kind", f"length of the spool (truth), beginning, end, words; {TOLERANCES}"
    kinds = [(kind, media.speech(has_pauses=kind.pauses)) for kind in KINDS]
    with tempfile.TemporaryDirectory(prefix="transcribe-media-") as folder:
        paths = {kind.name: media.make(kind, source) for kind, source in kinds}
        sources = {source for _, source in kinds}
        words = transcribe([*sources, *paths.values()], Path(folder))
    for kind, source in kinds:
        path = paths[kind.name]
        yield kind.name, f"{lengths(kind, path, source)}, {moved(words[source], words[path], kind.offset)}"
    for kind in HOUR:
        path = media.make(kind, media.hour())
        yield kind.name, lengths(kind, path, media.hour())
        path.unlink()


def lengths(kind: media.Kind, path: Path, source: Path) -> str:
    found, wanted = media.spool(path), media.clean(source)
    first, last = media.lags(kind, found, wanted)
    length = f"{len(found) / RATE:.2f} s ({len(wanted) / RATE + kind.offset:.2f})"
    return f"{length}, {1000 * first:+.1f} ms, {1000 * last:+.1f} ms"


def transcribe(paths: list[Path], folder: Path) -> dict[Path, Words]:
    """Return the words of each file with their times, from one run of the built-in recogniser."""
    command = [sys.executable, "manage.py", "transcribe", *paths, "--format", "json", "--output", folder]
    subprocess.run(command, check=True, capture_output=True)
    found = {}
    for path in paths:
        (written,) = folder.glob(f"{path.stem}.json")
        words = [word for segment in json.loads(written.read_text())["segments"] for word in segment["words"]]
        found[path] = [(word["text"].strip(".,;:!?").lower(), word["start_time"]) for word in words]
    return found


def moved(wanted: Words, found: Words, offset: float) -> str:
    """Return how many words both transcripts share, and by how much the worst is misplaced."""
    matcher = difflib.SequenceMatcher(None, [word for word, _ in wanted], [word for word, _ in found], autojunk=False)
    distances = [
        abs(found[block.b + number][1] - wanted[block.a + number][1] - offset)
        for block in matcher.get_matching_blocks()
        for number in range(block.size)
    ]
    return f"{len(distances)} words within {1000 * max(distances, default=0):.0f} ms" if distances else "no words"
