"""Which files browsers play as they are: every one of Safari, Firefox and Chromium, at the times of the spool.

Called by the decoder's probe. All other recordings get a listening copy, so uncertain kinds are left out here.
"""

from collections.abc import Sequence

import av
from av.stream import Disposition

from uploads.decoder.wav_header import has_true_length
from uploads.tracks import Track

RATES = (8_000, 96_000)  # Hz
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
