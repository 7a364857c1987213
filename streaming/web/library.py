"""The pages of recordings: the library, the sample, one recording, its deletion, and the start of a job for it.

Called through `urls.py`. Every change is a POST. A client that asks for JSON gets JSON, with the reason of a refusal.
"""

from uuid import UUID, uuid4

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.files import File
from django.core.paginator import Paginator
from django.db.models import BooleanField, ExpressionWrapper, OuterRef, Q, Subquery
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from streaming.engines.registry import engine_class
from streaming.jobs import lifecycle, permissions
from streaming.models import Job
from streaming.web.forms import StartForm, offered_engines
from uploads import negotiation, recordings, tracks
from uploads.models import Upload, may
from uploads.samples import SAMPLE_NAME, sample_path

PAGE_LENGTH = 30  # recordings


@require_safe
def library(request: HttpRequest) -> HttpResponse:
    """Show the user's recordings, newest first, each linked to its best job."""
    is_flat = ExpressionWrapper(Q(peaks__isnull=True), BooleanField())  # no waveform yet: the page polls for it
    mine = Upload.objects.filter(owner_id=request.user.pk).defer("peaks").annotate(is_flat=is_flat)
    page = Paginator(mine, PAGE_LENGTH).get_page(request.GET.get("page"))
    best = Job.objects.filter(upload=OuterRef("upload")).best_first().values("pk")[:1]
    best_jobs = {job.upload_id: job for job in Job.objects.filter(upload__in=page.object_list, pk=Subquery(best))}
    for upload in page:
        # Set here because `uploads` must not import jobs. The request_id makes a repeated press start one job.
        setattr(upload, "best_job", best_jobs.get(upload.pk))  # noqa: B010
        setattr(upload, "request_id", uuid4().hex)  # noqa: B010
    # If transcribing costs money, the button leads to the recording's page, which shows the price before the start.
    costs = engine_class(settings.TRANSCRIBE_DEFAULT_ENGINE).quote(0, {}) is not None
    context = {
        "costs": costs,
        "page": page,
        "max_upload_bytes": settings.MAX_UPLOAD_BYTES,
        "has_sample": sample_path() is not None,
    }
    return render(request, "uploads/library.html", context)


@require_POST
def add_sample(request: HttpRequest) -> HttpResponse:
    """Add the sample of the built-in engine to the user's recordings."""
    path = sample_path()
    if path is None:
        raise Http404
    try:
        with open(path, "rb") as file:
            return redirect(recordings.store(request.user, File(file), SAMPLE_NAME))
    except recordings.RecordingRefused as refusal:  # the disk is full, or the size limit is below the sample's
        return negotiation.refuse(request, str(refusal), refusal.status)


@require_safe
def upload(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show a recording: its player, file details, jobs, and the form that starts a job."""
    found = get_object_or_404(Upload.objects.visible_to(request.user), pk=pk)
    return _upload_page(request, found, StartForm(upload=found))


def _upload_page(request: HttpRequest, found: Upload, form: StartForm, status: int = 200) -> HttpResponse:
    context = {
        "upload": found,
        "jobs": found.jobs.visible_to(request.user),
        "form": form,
        "tracks": tracks.rows(found.tracks, found.track),
        "quotes": [(engine, engine.quote(found.duration, {})) for engine in offered_engines()],
        "can_start": permissions.may_start(request.user, found),
        "can_change": may(request.user, "change", found),
        "can_delete": permissions.may_delete_upload(request.user, found),
    }
    return render(request, "uploads/upload.html", context, status=status)


@require_POST
def delete_upload(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Delete a recording with its jobs and transcripts."""
    found = get_object_or_404(Upload.objects.visible_to(request.user), pk=pk)
    if not permissions.may_delete_upload(request.user, found):
        raise PermissionDenied
    lifecycle.delete_upload(found)
    if negotiation.wants_json(request):
        return HttpResponse(status=204)
    messages.success(request, f"Deleted {found.name} and its transcripts.")
    return redirect("library")


@require_POST
def create_job(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Start a job for a recording: 201, or 200 if the `request_id` has started one before, which is then returned."""
    found = get_object_or_404(Upload.objects.visible_to(request.user), pk=pk)
    if not permissions.may_start(request.user, found):
        raise PermissionDenied
    form = StartForm(request.POST, upload=found)
    if form.is_valid():
        wanted = {name: form.cleaned_data[name] for name in ("engine", "language_code", "track")}
        request_id = form.cleaned_data["request_id"] or None
        try:
            job, is_new = lifecycle.start(found, **wanted, options=form.given_options, request_id=request_id)
        except lifecycle.JobRefused as refusal:
            form.refuse(str(refusal))
        else:
            if negotiation.wants_json(request):
                answer = {"id": str(job.pk), "url": job.get_absolute_url(), "status": job.status}
                return JsonResponse(answer, status=201 if is_new else 200)
            return redirect(job)
    if negotiation.wants_json(request):
        return JsonResponse({"error": " ".join(form.reasons())}, status=400)
    return _upload_page(request, found, form, status=400)
