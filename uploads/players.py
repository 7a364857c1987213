"""Which files browsers play as they are: every one of Safari, Firefox and Chromium, at the times of the spool.

Called by the decoder's probe. All other recordings get a listening copy, so uncertain kinds are left out here.
"""

import os
import struct
from collections.abc import Sequence

import av
from av.stream import Disposition

from uploads.tracks import Track

RATES = (8_000, 96_000)  # Hz
CHUNKS = 1000  # of a WAV that are looked at: a hostile file may consist of nothing else
# FFmpeg's names of container and codec.
PLAYABLE = {
    # Every sample is in its place, and browsers find any of them without an index.
    "wav": {"pcm_s16le", "pcm_s24le", "pcm_u8"},
    "flac": {"flac"},
}


def is_playable(container: av.container.InputContainer, tracks: Sequence[Track], path: str) -> bool:
    """Tell whether browsers play this file themselves.

    Of several tracks each browser chooses another, and more than two channels are mixed differently by each. A video
    would be downloaded with its picture.
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


def has_true_length(path: str) -> bool:
    """Tell whether the header of a WAV says how many bytes of samples the file holds.

    Recorders that were switched off leave 0 there, which Firefox refuses to play.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        if file.read(4) != b"RIFF":
            return False
        offset = 12
        for _ in range(CHUNKS):
            if file.seek(offset) + 8 > size:
                break
            name, length = struct.unpack("<4sI", file.read(8))
            if name == b"data":
                return 0 < length <= size - offset - 8
            offset += 8 + length + length % 2
    return False
