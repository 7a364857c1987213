"""The audio tracks of a recording: the stored descriptions, the chosen track, and `track` as clients send it.

The decoder writes the descriptions, views and jobs read them. Nothing here needs Django: the decoder runs without it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypedDict

ALL = "all"  # every track that can be decoded, mixed on one timeline
MOST = 32  # a file may hold thousands; further tracks are not offered
TEXT_CHARACTERS = 100  # of a title: it comes from the file and may be of any length
LANGUAGE_CHARACTERS = 16


class Track(TypedDict):
    """One audio track, as stored in `Upload.tracks`; the index in that list is the number that clients send.

    `has_sound` is None where it was not measured: only tracks that compete for being chosen are.
    """

    codec: str
    language: str
    title: str
    sample_rate: int
    channels: int
    is_default: bool
    is_decodable: bool
    has_sound: bool | None


class UnknownTrack(ValueError):
    """A `track` that the recording doesn't have. The text is a sentence for a person."""


def chosen(tracks: Sequence[Track]) -> int:
    """Return the index of the track to transcribe when the person chooses none.

    A track with sound precedes a silent one, even one flagged as default: a transcript of silence helps nobody.
    Among tracks with sound the default flag decides, then the order in the file. 0 where none can be decoded.
    """

    def rank(index: int) -> tuple[bool, bool, bool, int]:
        track = tracks[index]
        return not track["is_decodable"], track["has_sound"] is False, not track["is_default"], index

    return min(range(len(tracks)), key=rank, default=0)


def parse(given: object) -> str:
    """Return a client's `track` as it is stored: an index in decimal digits, `all`, or nothing. Raises UnknownTrack."""
    if given is None or given == "":
        return ""
    if given == ALL:
        return ALL
    is_index = isinstance(given, int | str) and not isinstance(given, bool)
    text = str(given).strip() if is_index else ""
    if not (text.isascii() and text.isdigit() and len(text) <= 4):
        raise UnknownTrack("`track` is the index of an audio track, counted from 0, or “all”.")
    return str(int(text))


def check(tracks: Sequence[Track], track: str) -> None:
    """Raise UnknownTrack where a parsed `track` can't be transcribed. Without descriptions there is one track."""
    if track in ("", ALL):
        return
    index, count = int(track), max(1, len(tracks))
    if index >= count:
        has = "one audio track" if count == 1 else f"{count} audio tracks, 0 to {count - 1}"
        raise UnknownTrack(f"There is no track {index}. This recording has {has}.")
    if tracks and not tracks[index]["is_decodable"]:
        raise UnknownTrack(f"Track {index + 1} ({tracks[index]['codec']}) can't be decoded. Choose another track.")


def resolved(tracks: Sequence[Track], track: str, default: int) -> str:
    """Return the track that a job stores: the one asked for, else the chosen one where there are several."""
    return track or (str(default) if len(tracks) > 1 else "")


def as_json(track: str) -> int | str | None:
    """Return a stored `track` as clients read it: an index, `all`, or None."""
    return int(track) if track.isdigit() else track or None


def label(tracks: Sequence[Track], index: int) -> str:
    """Return a track's name for people: its number, title and language."""
    track = tracks[index]
    return " · ".join([f"Track {index + 1}", *filter(None, (track["title"], track["language"]))])


def name(tracks: Sequence[Track], track: str) -> str:
    """Return a stored `track` for people; empty where the recording has only one."""
    if not track or len(tracks) < 2:
        return ""
    if track == ALL:
        return "All tracks mixed"
    return label(tracks, int(track)) if int(track) < len(tracks) else f"Track {int(track) + 1}"


def choices(tracks: Sequence[Track]) -> list[tuple[str, str]]:
    """Return what a form offers: each track that can be decoded, and all of them mixed."""
    single = [(str(index), label(tracks, index)) for index, track in enumerate(tracks) if track["is_decodable"]]
    return [*single, (ALL, "All tracks mixed")] if len(single) > 1 else single


class Row(NamedTuple):
    """A track as a recording's page lists it. `notes` say what keeps it from being chosen, or that it is chosen."""

    label: str
    codec: str
    sample_rate: int
    channels: int
    notes: list[str]


def rows(tracks: Sequence[Track], chosen: int) -> list[Row]:
    """Return the tracks for a page; none where a single track has nothing to tell."""
    if len(tracks) == 1 and not tracks[0]["title"] and not tracks[0]["language"]:
        return []
    found = []
    for index, track in enumerate(tracks):
        notes = {
            "can't be decoded": not track["is_decodable"],
            "silent": track["has_sound"] is False,
            "default": track["is_default"] and len(tracks) > 1,
            "transcribed unless you choose another": index == chosen and track["is_decodable"] and len(tracks) > 1,
        }
        facts = (track["codec"], track["sample_rate"], track["channels"])
        found.append(Row(label(tracks, index), *facts, [note for note, holds in notes.items() if holds]))
    return found


def described(found: Sequence[Any]) -> list[Track]:
    """Return the descriptions that a decoder sent, within their limits: a hostile file may control what it sends."""
    return [
        Track(
            codec=str(track["codec"])[:64],
            language=str(track["language"])[:LANGUAGE_CHARACTERS],
            title=str(track["title"])[:TEXT_CHARACTERS],
            sample_rate=int(track["sample_rate"]),
            channels=int(track["channels"]),
            is_default=bool(track["is_default"]),
            is_decodable=bool(track["is_decodable"]),
            has_sound=None if track["has_sound"] is None else bool(track["has_sound"]),
        )
        for track in found[:MOST]
    ]
