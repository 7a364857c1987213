"""Decides whether Safari, Firefox and Chromium all play a file directly, at the same times as the spool.

The decoder's probe calls it. All other recordings get a listening copy, so formats in doubt are not listed here.
"""

from collections.abc import Sequence

import av
from av.stream import Disposition

from uploads.decoder.wav_header import has_true_length
from uploads.tracks import Track

RATES = (8_000, 96_000)  # Hz
# FFmpeg's names of container and codec.
PLAYABLE = {
    # In these formats browsers can seek to any sample exactly, without an index.
    "wav": {"pcm_s16le", "pcm_s24le", "pcm_u8"},
    "flac": {"flac"},
}


def is_playable(container: av.container.InputContainer, tracks: Sequence[Track], path: str) -> bool:
    """Return whether browsers play this file directly. `path` is that of `container`.

    They do not if it has several tracks (each browser chooses a different one), more than two channels (each browser
    mixes them differently) or a video stream (the player would download the pictures too).
    """
    track, name = tracks[0], container.format.name
    others = [stream for stream in container.streams if stream.type != "audio"]
    return (
        len(tracks) == 1
        and all(stream.disposition & Disposition.attached_pic for stream in others)
        and track["codec"] in PLAYABLE.get(name, ())
        and track["channels"] <= 2
        and RATES[0] <= track["sample_rate"] <= RATES[1]
        and (name != "wav" or has_true_length(path))
    )
