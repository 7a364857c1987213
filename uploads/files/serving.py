"""Builds the HTTP responses that send a recording's file or its listening copy, whole or as a range.

Uploaded files are untrusted. The server sends the content type that decoding found, and headers that forbid the browser
to guess another type, to run or load anything in the file, and to embed it in another site.
"""

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import PurePath
from typing import TypeVar

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header

from uploads import file_types, filenames
from uploads.files import ranges
from uploads.files.storage import CHUNK_BYTES, Content, content_of
from uploads.models import Upload

COPY_TYPE = "audio/mp4"
Response = TypeVar("Response", bound=HttpResponseBase)


def serve(request: HttpRequest, upload: Upload) -> HttpResponseBase:
    """Answer a GET or HEAD for the file of `upload`. Raises FileNotFoundError and StorageAway."""
    name = filenames.cleaned(upload.name) or filenames.NAMELESS
    return serve_content(request, content_of(upload), upload.sha256, file_types.content_type(upload.container), name)


def serve_content(
    request: HttpRequest, content: Content, version: str, content_type: str, name: str
) -> HttpResponseBase:
    """Answer a GET or HEAD for a stored file. `version` becomes the ETag, so it must change with the content.

    Raises as `serve`.
    """
    size, etag = content.size, f'"{version}"'
    response: HttpResponseBase | None = get_conditional_response(request, etag=etag)
    if response is None:
        try:
            response = _content(request, content, size, _requested_range(request, size, etag))
        except ranges.Unsatisfiable:
            response = HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    response["Content-Type"] = content_type
    response["Content-Disposition"] = content_disposition_header("download" in request.GET, name) or "inline"
    response["Accept-Ranges"] = "bytes"
    response["ETag"] = etag
    response["Cache-Control"] = "private, max-age=3600"
    return isolate(response)


def serve_copy(request: HttpRequest, upload: Upload, track: str, copy: Content) -> HttpResponseBase:
    """Answer a GET or HEAD for a finished listening copy. Raises as `serve`."""
    # The version includes the size, because a deleted copy may be made again by a newer encoder.
    version = f"{upload.sha256[:32]}-{track}-{copy.size}"
    stem = PurePath(filenames.cleaned(upload.name)).stem or filenames.NAMELESS
    return serve_content(request, copy, version, COPY_TYPE, f"{stem}.m4a")


def serve_growing(request: HttpRequest, chunks: AsyncIterator[bytes]) -> HttpResponseBase:
    """Answer a GET or HEAD for a listening copy that is still being encoded; clients and proxies must not cache it."""
    headers = {"Cache-Control": "no-store", "Accept-Ranges": "none"}
    response: HttpResponseBase
    if request.method == "HEAD":
        response = HttpResponse(content_type=COPY_TYPE, headers=headers)
    else:
        response = StreamingHttpResponse(chunks, content_type=COPY_TYPE, headers=headers)
    return isolate(response)


def isolate(response: Response) -> Response:
    """Set the headers that forbid a browser to guess another type, run the content, or embed it in another site."""
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    return response


def _requested_range(request: HttpRequest, size: int, etag: str) -> ranges.Range | None:
    """Return the requested range, or None for the whole file.

    The whole file is sent when If-Range shows that the client holds a part of a different version.
    """
    if request.method != "GET" or request.headers.get("If-Range", etag) != etag:
        return None
    return ranges.parse(request.headers.get("Range"), size)


def _content(request: HttpRequest, content: Content, size: int, requested: ranges.Range | None) -> HttpResponseBase:
    # The response has the whole requested range, even for an open one ("bytes=500-"). RFC 9110, section 15.3.7, allows
    # a server to send less, but WebKit then plays from a wrong position. A long range costs little: a player stops
    # reading when it has enough, and the server reads the next chunk only after the client has received the last one.
    part = requested or ranges.Range(0, size)
    # The first chunk is read before the response begins: a missing file must still become a 404.
    is_head = request.method == "HEAD"
    begin = ranges.Range(part.start, min(part.stop, part.start + (1 if is_head else CHUNK_BYTES)))
    first = content.read(begin)
    response: HttpResponseBase
    if is_head or begin.stop == part.stop:
        response = HttpResponse(b"" if is_head else first)
    else:
        response = StreamingHttpResponse(_chunks(content, first, ranges.Range(begin.stop, part.stop)))
    response["Content-Length"] = str(part.length)
    if requested is not None:
        response.status_code = 206
        response["Content-Range"] = part.content_range(size)
    return response


async def _chunks(content: Content, first: bytes, rest: ranges.Range) -> AsyncIterator[bytes]:
    yield first
    async with aclosing(content.chunks(rest)) as chunks:
        async for chunk in chunks:
            yield chunk
