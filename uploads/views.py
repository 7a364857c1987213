"""The views of a recording: upload, rename, the file, the listening copy and the waveform."""

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
    """Store the files of the field `file`: one from a program, any number from a form. Then make their waveforms.

    The field `name` has a file's name unchanged: browsers escape quotes in a multipart file name, and Django
    drops the part before a backslash and decodes HTML entities.
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
        refused = recordings.refused_by(error)
        return negotiation.refuse(request, str(refused), refused.status)
    if not files:
        return negotiation.refuse(request, "Choose a file first.", 400)
    if negotiation.wants_json(request) and len(files) > 1:
        return negotiation.refuse(request, "Send one file in a request.", 400)
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
    """The file itself, with Range; with `?download`, to be kept."""
    upload = _visible(request, pk)
    try:
        return serving.serve(request, upload)
    except (FileNotFoundError, StorageAway, OSError) as error:
        return _unavailable(upload, error)


@require_safe
async def listen(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """The audio on the timeline of the transcripts, for the player: the file itself or a listening copy of it.

    A finished copy is answered as any file, with ranges. One that is being made is sent as it grows, without ranges
    and without a length. HEAD tells which of the two it is, by `Accept-Ranges`, and starts making it too.
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
        making = listening_copies.make(upload, track)
        if request.method == "GET":
            await making.wait()
        elif making.error:
            raise making.error
    except DecodingError as error:
        if is_full(error):
            raise  # answered with 507 by `failures.py`
        if isinstance(error, DecoderNotStarted):
            return HttpResponse(str(error), status=503, headers=LATER, content_type="text/plain")
        return HttpResponse(str(error), status=422, headers=NO_STORE, content_type="text/plain")
    except (FileNotFoundError, StorageAway, OSError) as error:
        return _unavailable(upload, error)
    return serving.serve_growing(request, making.chunks())


def _unavailable(upload: Upload, error: Exception) -> HttpResponse:
    """Answer for a file that is missing (404) or can't be read now (503). Players and download clients try again.

    A full disk, on which no copy can be made, is raised: `failures.py` answers with 507.
    """
    if is_full(error):
        raise error
    if isinstance(error, FileNotFoundError):
        logger.error("The file of the recording %s is missing.", upload.pk)
        raise Http404 from error
    if not isinstance(error, StorageAway):  # of which the storage has told the log
        logger.error("The file of the recording %s can't be read: %s", upload.pk, error)
    sentence = str(error) if isinstance(error, StorageRefused) else f"{StorageAway()} Try again in a while."
    return HttpResponse(sentence, status=503, headers=LATER, content_type="text/plain")


@require_safe
async def waveform(request: HttpRequest, pk: UUID) -> HttpResponse:
    """A picture of the recording, with `?track=` of that track, with `?small` a coarser one.

    While there is none it is made in the background, and the answer is a flat line that may not be kept.
    """
    upload, track, peaks = await sync_to_async(_waveform)(request, pk)
    caching = "private, max-age=31536000, immutable"
    if peaks is None:
        waveforms.make(upload, track)
        peaks, caching = waveforms.FLAT, "no-store"
    picture = waveforms.picture(peaks, is_small="small" in request.GET)
    headers = {"Cache-Control": caching}
    return serving.sealed(HttpResponse(picture, content_type="image/svg+xml", headers=headers))


def _waveform(request: HttpRequest, pk: UUID) -> tuple[Upload, str, bytes | None]:
    upload = _visible(request, pk)
    try:
        track = tracks.parse(request.GET.get("track"))
        tracks.check(upload.tracks, track)
    except tracks.UnknownTrack as error:
        raise Http404 from error
    return upload, track, waveforms.peaks_of(upload, track)


def _visible(request: HttpRequest, pk: UUID, to: str = "view") -> Upload:
    """Return a recording that this person may see: 404 for any other, and 403 if seeing it is all that they may.

    Views of recordings go on to the storage or a decoder, so the database connection is released.
    """
    upload = get_object_or_404(Upload.objects.visible_to(request.user), pk=pk)
    if to != "view" and not may(request.user, to, upload):
        raise PermissionDenied
    db_connections.release()
    return upload
