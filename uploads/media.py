"""A recording's file as an answer: whole or in part, and never as anything but sound.

What was uploaded is a stranger's: it is served under the type that decoding found, with a policy that lets nothing
in it run or load, for this site alone.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

from aiofile import async_open
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header

from uploads import kinds, ranges
from uploads.models import Upload

# Players ask for all that follows ("bytes=0-"), read as they play, and seek. Such a request gets a part, as RFC 9110,
# section 15.3.7, allows, and the player asks again: neither it nor a server without back-pressure holds the whole.
PART_BYTES = 2 * 1024**2
CHUNK_BYTES = 256 * 1024
Response = TypeVar("Response", bound=HttpResponseBase)


def serve(request: HttpRequest, upload: Upload, path: Path) -> HttpResponseBase:
    """Answer a GET or HEAD for the file of `upload`, which is at `path`. Raises FileNotFoundError."""
    size, etag = os.stat(path).st_size, f'"{upload.sha256}"'
    response: HttpResponseBase | None = get_conditional_response(request, etag=etag)
    if response is None:
        try:
            response = _content(request, path, size, _asked(request, size, etag))
        except ranges.Unsatisfiable:
            response = HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    response["Content-Type"] = kinds.content_type(upload.container)
    response["Content-Disposition"] = content_disposition_header("download" in request.GET, upload.name) or "inline"
    response["Accept-Ranges"] = "bytes"
    response["ETag"] = etag
    response["Cache-Control"] = "private, max-age=3600"
    return sealed(response)


def sealed(response: Response) -> Response:
    """Keep a browser from taking the content for anything else, running it, or showing it on another site."""
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    return response


def _asked(request: HttpRequest, size: int, etag: str) -> ranges.Range | None:
    """Return the part that is asked for; None, the whole, where the client has a part of something else (If-Range)."""
    if request.method != "GET" or request.headers.get("If-Range", etag) != etag:
        return None
    return ranges.parse(request.headers.get("Range"), size)


def _content(request: HttpRequest, path: Path, size: int, asked: ranges.Range | None) -> HttpResponseBase:
    part = asked or ranges.Range(0, size)
    if part.is_open:
        part = ranges.Range(part.start, min(part.stop, part.start + PART_BYTES))
    response: HttpResponseBase
    if request.method == "HEAD":
        response = HttpResponse()
    elif part.length <= PART_BYTES:
        with open(path, "rb") as file:
            file.seek(part.start)
            response = HttpResponse(file.read(part.length))
    else:
        response = StreamingHttpResponse(_chunks(path, part))
    response["Content-Length"] = str(part.length)
    if asked is not None:
        response.status_code = 206
        response["Content-Range"] = part.content_range(size)
    return response


async def _chunks(path: Path, part: ranges.Range) -> AsyncIterator[bytes]:
    async with async_open(path, "rb") as file:
        file.seek(part.start)
        left = part.length
        while left:
            chunk = await file.read(min(CHUNK_BYTES, left))
            if not chunk:
                return  # the file was deleted and cut short; the client sees that something is missing
            left -= len(chunk)
            yield chunk
