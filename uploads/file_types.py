"""Names file types: an error sentence for a file that is not a recording, a content type for a recording.

The upload check, the decoder and the responses with files use it.
"""

UNREADABLE = "We couldn't read this file as audio or video."
INCOMPLETE = "This file is incomplete. Please upload it again."
SUPPORTED = "Upload audio or video instead: WAV, MP3, M4A, FLAC, OGG, WebM, MP4, MOV, MKV and most other formats."

MAGIC = (
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"7z\xbc\xaf", "an archive"),
    (b"Rar!", "an archive"),
    (b"\x1f\x8b", "a compressed archive"),
    (b"MThd", "a MIDI file, which contains notes but no audio"),
    (b"#EXTM3U", "a playlist, which contains only links to recordings"),
    (b"ffconcat", "a playlist, which contains only links to recordings"),
    (b"[playlist]", "a playlist, which contains only links to recordings"),
    (b"MZ", "a program"),
    (b"\x7fELF", "a program"),
)

# FFmpeg's name of a container → our short name, and the content type of its files.
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
WEBM_CODECS = {"opus", "vorbis"}  # WebM is Matroska with one of these codecs, which every browser plays


def container_name(ffmpeg_name: str, codec: str) -> str:
    """Return the short name of a container; FFmpeg's name if `CONTAINERS` has no other."""
    name = CONTAINERS.get(ffmpeg_name, (ffmpeg_name, ""))[0]
    return "webm" if name == "matroska" and codec in WEBM_CODECS else name


def content_type(container: str) -> str:
    """Return the content type for a recording in `container` (a name from `container_name`)."""
    return CONTENT_TYPES.get(container, "application/octet-stream")


def identify(head: bytes) -> str | None:
    """Return a sentence that names the type of an unreadable file, from its first bytes; None if it is unknown."""
    for magic, kind in MAGIC:
        if head.startswith(magic):
            return f"This is {kind}."
    if head[4:8] == b"ftyp":
        return INCOMPLETE  # the index of an MP4 file may be at its end, which is missing here
    text = head.lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "This is a web page."
    if not set(head) & {*range(9), *range(14, 32), 127}:
        return "This is a text file."
    return None
