"""What files are: a sentence for one that is no recording, and the content type of one that is."""

UNREADABLE = "We couldn't read this file as audio or video."
WHAT_WORKS = "Upload audio or video instead: WAV, MP3, M4A, FLAC, OGG, WebM, MP4, MOV, MKV and most others."

MAGIC = (
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"7z\xbc\xaf", "an archive"),
    (b"Rar!", "an archive"),
    (b"\x1f\x8b", "a compressed archive"),
    (b"MThd", "a MIDI file, which holds notes and no sound"),
    (b"#EXTM3U", "a playlist, which only names recordings that are elsewhere"),
    (b"ffconcat", "a playlist, which only names recordings that are elsewhere"),
    (b"[playlist]", "a playlist, which only names recordings that are elsewhere"),
    (b"MZ", "a program"),
    (b"\x7fELF", "a program"),
)

# FFmpeg's name of the container → ours, and the type that it is served with.
CONTAINERS = {
    "mov,mp4,m4a,3gp,3g2,mj2": ("mp4", "audio/mp4"),
    "matroska,webm": ("matroska", "video/x-matroska"),
    "wav": ("wav", "audio/wav"),
    "w64": ("w64", "audio/x-w64"),
    "mp3": ("mp3", "audio/mpeg"),
    "aac": ("aac", "audio/aac"),
    "flac": ("flac", "audio/flac"),
    "ogg": ("ogg", "audio/ogg"),
    "aiff": ("aiff", "audio/aiff"),
    "caf": ("caf", "audio/x-caf"),
    "au": ("au", "audio/basic"),
    "amr": ("amr", "audio/amr"),
    "avi": ("avi", "video/x-msvideo"),
    "asf": ("asf", "video/x-ms-asf"),
    "flv": ("flv", "video/x-flv"),
    "mpeg": ("mpeg", "video/mpeg"),
    "mpegts": ("mpegts", "video/mp2t"),
}
CONTENT_TYPES = {**dict(CONTAINERS.values()), "webm": "audio/webm"}
WEBM_CODECS = {"opus", "vorbis"}  # what makes a Matroska file one that every browser plays


def container_name(ffmpeg_name: str, codec: str) -> str:
    """Return a container's short name; FFmpeg's own where that is short already."""
    name = CONTAINERS.get(ffmpeg_name, (ffmpeg_name, ""))[0]
    return "webm" if name == "matroska" and codec in WEBM_CODECS else name


def content_type(container: str) -> str:
    """Return the type to serve a file with that decoding found to be in `container`."""
    return CONTENT_TYPES.get(container, "application/octet-stream")


def what_it_is(head: bytes) -> str | None:
    """Say what a file that begins with `head` (some hundred bytes) is, or None where that isn't easy to see."""
    for magic, kind in MAGIC:
        if head.startswith(magic):
            return f"This is {kind}."
    if head[4:8] == b"ftyp":
        return "This file is incomplete. Please upload it again."
    text = head.lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "This is a web page."
    if not set(head) & {*range(9), *range(14, 32), 127}:
        return "This is a text file."
    return None
