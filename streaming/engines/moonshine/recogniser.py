"""A program that runs one Moonshine recogniser and reads requests from standard input. `engine.py` starts it.

Each job needs a process of its own, because the library keeps the state of its speech detector per process: two streams
in one process corrupt each other's sentences (measured; see docs/decisions.md). A process has two more advantages: a
crash in the library ends one attempt and not the worker, and its threads run at a lower priority and without the
worker's interpreter lock.

A request is one letter, the length of the body (4 bytes, big-endian) and the body: `n` starts a stream at a sample rate
(4 bytes), `a` adds 16-bit PCM, `u` recognises the audio that was added, `e` ends the stream. The answer to each is one
line of JSON. `u` and `e` return `lines`, those that changed since the last update, as [start, end, is_complete, text]
in seconds of the stream, and `is_open`: whether the last line is still being spoken.
"""

import array
import json
import os
import re
import struct
import sys
from contextlib import suppress
from typing import Any, BinaryIO

from moonshine_voice import ModelArch
from moonshine_voice.errors import MoonshineError
from moonshine_voice.transcriber import Stream, Transcriber, Transcript
from moonshine_voice.utils import get_model_path

NICENESS = 5  # a lower priority than the server's, so that pages respond quickly
OPTIONS = {"return_audio_data": "false", "identify_speakers": "false"}
# The library may raise on a segment without speech. If this many updates in a row raise, the stream is broken.
FAILURES_IN_A_ROW = 20


def changed_lines(transcript: Transcript | None, *, is_end: bool) -> dict[str, Any]:
    lines = transcript.lines if transcript else []
    changed = []
    for index, line in enumerate(lines):
        if not (line.is_new or line.is_updated or (is_end and not line.is_complete)):
            continue
        end = line.start_time + line.duration
        if index + 1 < len(lines):
            end = min(end, lines[index + 1].start_time)  # the detector's lines overlap a little
        text = re.sub(",+", ",", line.text.strip())  # the model sometimes repeats commas
        changed.append([line.start_time, end, bool(line.is_complete or is_end), text])
    return {"lines": changed, "is_open": bool(lines) and not lines[-1].is_complete and not is_end}


class Recogniser:
    def __init__(self) -> None:
        self.transcriber = Transcriber(get_model_path("tiny-en"), ModelArch.TINY, options=OPTIONS)
        self.stream: Stream | None = None
        self.sample_rate = 16_000
        self.failures = 0

    def begin(self, sample_rate: int) -> None:
        if self.stream is not None:
            self.stream.close()
        # Infinity: the library must not update by itself while audio is added; `update` requests each update.
        self.stream = self.transcriber.create_stream(update_interval=float("inf"))
        self.stream.start()
        self.sample_rate = sample_rate

    def add(self, pcm: bytes) -> None:
        assert self.stream is not None
        samples = array.array("h", pcm)
        if sys.byteorder == "big":
            samples.byteswap()
        self.stream.add_audio([sample / 32768 for sample in samples], self.sample_rate)

    def update(self) -> dict[str, Any]:
        assert self.stream is not None
        try:
            transcript = self.stream.update_transcription()
        except MoonshineError as error:
            # Observed on segments without speech. Later updates are not affected.
            self.failures += 1
            if self.failures >= FAILURES_IN_A_ROW:
                raise
            print(f"The recogniser could not update: {error}", file=sys.stderr)
            return {"lines": [], "is_open": True}
        self.failures = 0
        return changed_lines(transcript, is_end=False)

    def end(self) -> dict[str, Any]:
        assert self.stream is not None
        # The library's stop() does not raise: after an error it returns None.
        transcript = self.stream.stop()
        self.stream.close()
        self.stream = None
        return changed_lines(transcript, is_end=True)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    def answer(value: dict[str, Any]) -> None:
        answers.write(json.dumps(value).encode() + b"\n")
        answers.flush()

    recogniser = Recogniser()
    answer({"is_ready": True})
    while header := requests.read(5):
        letter, size = struct.unpack(">cI", header)
        body = requests.read(size)
        if letter == b"n":
            recogniser.begin(struct.unpack(">I", body)[0])
            answer({})
        elif letter == b"a":
            recogniser.add(body)
            answer({})
        elif letter == b"u":
            answer(recogniser.update())
        else:
            answer(recogniser.end())


if __name__ == "__main__":
    os.nice(NICENESS)
    # The library prints to standard output. Redirect that to standard error: the pipe must carry only our answers.
    answer_pipe = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with suppress(BrokenPipeError, KeyboardInterrupt):  # the worker has closed the pipe or Ctrl-C was pressed
        serve(sys.stdin.buffer, answer_pipe)
