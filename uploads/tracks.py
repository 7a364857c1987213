"""Describes the audio tracks of a recording, chooses one, and checks the `track` that clients send.

The decoder writes the descriptions; views and jobs read them. The decoder runs without Django, so nothing here uses it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypedDict

ALL = "all"  # the value of `track` for all decodable tracks, mixed on one timeline
MAX_TRACKS = 32  # a file may contain thousands of tracks; the site ignores the ones after these
TEXT_CHARACTERS = 100  # the limit of a title, which comes from the file and may be of any length
LANGUAGE_CHARACTERS = 16


class Track(TypedDict):
    """One audio track, as stored in `Upload.tracks`. Clients send the index in that list as `track`.

    `has_sound` is true if the track is not silent. It is None if it was not measured, because the file has no other
    track to choose, or the track can't be decoded.
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
    """The recording has no such `track`. The text is a sentence for people."""


def chosen(tracks: Sequence[Track]) -> int:
    """Return the index of the track to transcribe if the person chooses none. Returns 0 if none can be decoded.

    A track with sound goes before a silent one, even before a silent one with the default flag, because its transcript
    would be empty. Among tracks with sound the default flag decides, then the order in the file.
    """

    def rank(index: int) -> tuple[bool, bool, bool, int]:
        track = tracks[index]
        return not track["is_decodable"], track["has_sound"] is False, not track["is_default"], index

    return min(range(len(tracks)), key=rank, default=0)


def parse(given: object) -> str:
    """Return a client's `track` in its stored form: an index in decimal digits, `all`, or "". Raises UnknownTrack."""
    if given is None or given == "":
        return ""
    if given == ALL:
        return ALL
    is_index = isinstance(given, int | str) and not isinstance(given, bool)
    text = str(given).strip() if is_index else ""
    if not (text.isascii() and text.isdigit() and len(text) <= 4):
        raise UnknownTrack("`track` must be the index of an audio track, counted from 0, or “all”.")
    return str(int(text))


def check(tracks: Sequence[Track], track: str) -> None:
    """Raise UnknownTrack if a parsed `track` can't be transcribed. Without descriptions the recording has one track."""
    if track in ("", ALL):
        return
    index, count = int(track), max(1, len(tracks))
    if index >= count:
        has = "one audio track" if count == 1 else f"{count} audio tracks, 0 to {count - 1}"
        raise UnknownTrack(f"There is no track {index}. This recording has {has}.")
    if tracks and not tracks[index]["is_decodable"]:
        raise UnknownTrack(f"Track {index + 1} ({tracks[index]['codec']}) can't be decoded. Choose another track.")


def resolved(tracks: Sequence[Track], track: str, default: int) -> str:
    """Return the track that a job stores: the requested one, else the default if there are several, else ""."""
    return track or (str(default) if len(tracks) > 1 else "")


def as_json(track: str) -> int | str | None:
    """Return a stored `track` in the form for JSON: an index, `all`, or None."""
    return int(track) if track.isdigit() else track or None


def label(tracks: Sequence[Track], index: int) -> str:
    """Return a track's label for people: its number counted from 1, title and language."""
    track = tracks[index]
    return " · ".join([f"Track {index + 1}", *filter(None, (track["title"], track["language"]))])


def name(tracks: Sequence[Track], track: str) -> str:
    """Return the label of a stored `track` for people; empty if the recording has only one track."""
    if not track or len(tracks) < 2:
        return ""
    if track == ALL:
        return "All tracks mixed"
    return label(tracks, int(track)) if int(track) < len(tracks) else f"Track {int(track) + 1}"


def choices(tracks: Sequence[Track]) -> list[tuple[str, str]]:
    """Return the choices of a form: each track that can be decoded, and if there are several, all of them mixed."""
    single = [(str(index), label(tracks, index)) for index, track in enumerate(tracks) if track["is_decodable"]]
    return [*single, (ALL, "All tracks mixed")] if len(single) > 1 else single


class Row(NamedTuple):
    """A row in the list of tracks on a recording's page. `notes` explain why the track is chosen or not."""

    label: str
    codec: str
    sample_rate: int
    channels: int
    notes: list[str]


def rows(tracks: Sequence[Track], chosen: int) -> list[Row]:
    """Return the rows for a recording's page; none if its only track has neither a title nor a language."""
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
    """Return the descriptions that a decoder sent, cut to their limits: a hostile file may control its decoder."""
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
        for track in found[:MAX_TRACKS]
    ]
