"""The views for uploading and renaming a recording, and for its file, its listening copy and its waveform.

The pages of the library and of a recording are in `streaming/web/library.py`.
"""

import logging
from uuid import UUID

from asgiref.sync import sync_to_async
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST, require_safe

from uploads import db_connections, filenames, listening_copies, negotiation, recordings, tracks, waveforms
from uploads.decoder.client import DecoderNotStarted, DecodingError
from uploads.files import serving, storage
from uploads.files.disk_errors import is_full
from uploads.files.storage import StorageAway, StorageRefused
from uploads.files.upload_handler import DISK_ERROR
from uploads.models import Upload, may

logger = logging.getLogger(__name__)

NO_STORE = {"Cache-Control": "no-store"}
LATER = {"Retry-After": "10", **NO_STORE}


@require_POST
async def create(request: HttpRequest) -> HttpResponse:
    """Store the files of the field `file`: one from a program, any number from a form. Then start their waveforms.

    The optional field `name` has each file's name as typed. The multipart file name is less exact: browsers escape
    quotes in it, and Django drops the part before a backslash and decodes HTML entities.
    """
    stored: list[Upload] = []
    response = await sync_to_async(_create)(request, stored)
    for upload in stored:
        waveforms.make(upload)
    return response


def _create(request: HttpRequest, stored: list[Upload]) -> HttpResponse:
    files = request.FILES.getlist("file")
    given = request.POST.getlist("name")
    if len(given) != len(files):
        given = [""] * len(files)
    if error := request.META.get(DISK_ERROR):
        refused = recordings.disk_refusal(error)
        return negotiation.refuse(request, str(refused), refused.status)
    if not files:
        return negotiation.refuse(request, "Choose a file first.", 400)
    if negotiation.wants_json(request) and len(files) > 1:
        return negotiation.refuse(request, "Send one file per request.", 400)
    for file, name in zip(files, given, strict=True):
        name = filenames.typed(name) or filenames.of_file(file.name or "")
        try:
            stored.append(recordings.store(request.user, file, name))
        except recordings.RecordingRefused as refusal:
            if negotiation.wants_json(request) or refusal.status in negotiation.UNAVAILABLE:
                return negotiation.refuse(request, str(refusal), refusal.status)
            messages.error(request, f"{name}: {refusal}")
    if negotiation.wants_json(request):
        return JsonResponse({"id": str(stored[0].pk), "url": stored[0].get_absolute_url()}, status=201)
    for upload in stored:
        messages.success(request, f"Uploaded {upload.name}.")
    return redirect(stored[0] if len(files) == len(stored) == 1 else "library")


@require_POST
def rename(request: HttpRequest, pk: UUID) -> HttpResponse:
    upload = _visible(request, pk, to="change")
    try:
        recordings.rename(upload, request.POST.get("name", ""))
    except recordings.RecordingRefused as refusal:
        return negotiation.refuse(request, str(refusal), refusal.status, to=upload.get_absolute_url())
    if negotiation.wants_json(request):
        return JsonResponse({"id": str(pk), "url": upload.get_absolute_url(), "name": upload.name})
    messages.success(request, f"Renamed to {upload.name}.")
    return redirect(upload)


@require_safe
def audio(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """Serve the original file, with ranges. `?download` makes browsers save it instead of playing it."""
    upload = _visible(request, pk)
    try:
        return serving.serve(request, upload)
    except (FileNotFoundError, StorageAway, OSError) as error:
        return _unavailable(upload, error)


@require_safe
async def listen(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """Serve the audio that the player plays, at the times of the transcripts: the file or its listening copy.

    A finished copy is served with ranges, like a file. A copy that is still being made is sent as it grows, without
    ranges and without a length. A HEAD request also starts to make the copy, and its `Accept-Ranges` shows the client
    whether the copy is finished.
    """
    upload = await sync_to_async(_visible)(request, pk)
    try:
        track = listening_copies.track_of(upload, request.GET.get("track"))
    except tracks.UnknownTrack as error:
        return HttpResponse(str(error), status=404, headers=NO_STORE, content_type="text/plain")
    try:
        if not upload.needs_copy:
            return await storage.in_thread(serving.serve, request, upload)
        if copy := await storage.in_thread(listening_copies.find, upload, track):
            return await storage.in_thread(serving.serve_copy, request, upload, track, copy)
        growing = listening_copies.make(upload, track)
        if request.method == "GET":
            await growing.wait()
        elif growing.error:
            raise growing.error
    except DecodingError as error:
        if is_full(error):
            raise  # `failures.py` answers it with 507
        if isinstance(error, DecoderNotStarted):
            return HttpResponse(str(error), status=503, headers=LATER, content_type="text/plain")
        return HttpResponse(str(error), status=422, headers=NO_STORE, content_type="text/plain")
    except (FileNotFoundError, StorageAway, OSError) as error:
        return _unavailable(upload, error)
    return serving.serve_growing(request, growing.chunks())


def _unavailable(upload: Upload, error: Exception) -> HttpResponse:
    """Answer for a file that is missing (404) or can't be read now (503, so that players and programs retry).

    Raises `error` if it means that the disk has no room for a copy: `failures.py` answers it with 507.
    """
    if is_full(error):
        raise error
    if isinstance(error, FileNotFoundError):
        logger.error("The file of the recording %s is missing.", upload.pk)
        raise Http404 from error
    if not isinstance(error, StorageAway):  # the storage has already logged those
        logger.error("The file of the recording %s can't be read: %s", upload.pk, error)
    sentence = str(error) if isinstance(error, StorageRefused) else f"{StorageAway()} Try again in a while."
    return HttpResponse(sentence, status=503, headers=LATER, content_type="text/plain")


@require_safe
async def waveform(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Serve the waveform of a recording as SVG. `?track=` selects a track, `?small` a coarser picture.

    If the waveform is not stored yet, start to make it and answer with a flat line that must not be cached.
    """
    upload, track, peaks = await sync_to_async(_waveform)(request, pk)
    caching = "private, max-age=31536000, immutable"
    if peaks is None:
        waveforms.make(upload, track)
        peaks, caching = waveforms.FLAT, "no-store"
    picture = waveforms.picture(peaks, is_small="small" in request.GET)
    headers = {"Cache-Control": caching}
    return serving.isolate(HttpResponse(picture, content_type="image/svg+xml", headers=headers))


def _waveform(request: HttpRequest, pk: UUID) -> tuple[Upload, str, bytes | None]:
    upload = _visible(request, pk)
    try:
        track = tracks.parse(request.GET.get("track"))
        tracks.check(upload.tracks, track)
    except tracks.UnknownTrack as error:
        raise Http404 from error
    return upload, track, waveforms.peaks_of(upload, track)


def _visible(request: HttpRequest, pk: UUID, to: str = "view") -> Upload:
    """Return a recording that the person may see. Raises Http404 for others, PermissionDenied without permission `to`.

    Releases the database connection, because these views go on to wait for the storage or a decoder.
    """
    upload = get_object_or_404(Upload.objects.visible_to(request.user), pk=pk)
    if to != "view" and not may(request.user, to, upload):
        raise PermissionDenied
    db_connections.release()
    return upload
