"""The pages of recordings with their jobs, the history, and a job's own page; and what can be done there.

What changes something is a POST; a program that asks for JSON gets it, with the reason where it is refused.
"""

from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.files import File
from django.core.paginator import Paginator
from django.db.models import BooleanField, ExpressionWrapper, OuterRef, Q, Subquery
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from streaming import events
from streaming.engines.registry import engine_class
from streaming.jobs import lifecycle, permissions, queue
from streaming.models import Job, Status
from streaming.templatetags.segments import marks_words
from streaming.transcript import exports
from streaming.web.forms import HistoryForm, StartForm, offered_engines
from uploads import negotiation, recordings, tracks
from uploads.models import Upload, may, sees_all
from uploads.samples import SAMPLE_NAME, sample_path

PAGE_LENGTH = 30
# Of a segment on a job's page; its words are many, and only some jobs have marks among them.
SHOWN = ("job_id", "seq", "start_time", "end_time", "text", "speaker", "channel", "language_code", "is_provisional")
STATUS_OF_REFUSAL = {"not_found": 404, "conflict": 409}


@require_safe
def library(request: HttpRequest) -> HttpResponse:
    """This person's recordings, newest first, each with the job that its title opens."""
    is_flat = ExpressionWrapper(Q(peaks__isnull=True), BooleanField())  # no waveform yet: the page asks again
    mine = Upload.objects.filter(owner_id=request.user.pk).defer("peaks").annotate(is_flat=is_flat)
    page = Paginator(mine, PAGE_LENGTH).get_page(request.GET.get("page"))
    best = Job.objects.filter(upload=OuterRef("upload")).best_first().values("pk")[:1]
    best_jobs = {job.upload_id: job for job in Job.objects.filter(upload__in=page.object_list, pk=Subquery(best))}
    for upload in page:
        # Set from outside, because uploads knows nothing of jobs. A button pressed twice is the same request.
        setattr(upload, "best_job", best_jobs.get(upload.pk))  # noqa: B010
        setattr(upload, "request_id", uuid4().hex)  # noqa: B010
    # What costs is shown before the start, on the recording's page.
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
    """Put the recogniser's sample among this person's recordings."""
    path = sample_path()
    if path is None:
        raise Http404
    try:
        with open(path, "rb") as file:
            return redirect(recordings.store(request.user, File(file), SAMPLE_NAME))
    except recordings.RecordingRefused as refusal:  # the disk is full, or the site takes only smaller files
        return negotiation.refuse(request, str(refusal), refusal.status)


@require_safe
def upload(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One recording: player, facts, its jobs, and the form that starts one."""
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
    """Delete a recording with all that was made of it."""
    found = get_object_or_404(Upload.objects.visible_to(request.user), pk=pk)
    if not permissions.may_delete_upload(request.user, found):
        raise PermissionDenied
    lifecycle.delete_upload(found)
    if negotiation.wants_json(request):
        return HttpResponse(status=204)
    messages.success(request, f"{found.name} and its transcripts are deleted.")
    return redirect("library")


@require_POST
def create_job(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Start a job for a recording; the same `request_id` answers with the same job."""
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


@require_safe
def history(request: HttpRequest) -> HttpResponse:
    """This person's jobs, newest first, narrowed by state and engine."""
    form = HistoryForm(request.GET)
    mine = Job.objects.filter(owner_id=request.user.pk).select_related("upload").defer("upload__peaks")
    form.is_valid()  # what is not valid is not in cleaned_data, and narrows nothing
    wanted = {name: value for name, value in form.cleaned_data.items() if value}
    page = Paginator(mine.filter(**wanted), PAGE_LENGTH).get_page(request.GET.get("page"))
    return render(request, "streaming/history.html", {"page": page, "form": form, "is_narrowed": bool(wanted)})


@require_safe
def job(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One job: its transcript as far as it is, and all that the page needs to go on live."""
    found = _job(request, pk)
    # The transcript last: the socket goes on after the last final that is on the page.
    segments = list(found.segments.only(*SHOWN, *["words"] * marks_words(found)))
    job_data = events.queued(events.job_object(found), queue.places() if found.status == Status.QUEUED else {})
    context = {
        "job": found,
        "upload": found.upload,
        "segments": segments,
        "seq": max((segment.seq for segment in segments), default=0),
        "track": found.track,
        "job_data": job_data,
        "socket_path": f"/ws/jobs/{found.pk}/",
        "formats": [(name, exporter.label) for name, exporter in exports.FORMATS.items()],
        "can_hear": found.owner_id == request.user.pk or sees_all(request.user),
        "can_change": permissions.may_change(request.user, found),
        "can_delete": permissions.may_delete(request.user, found),
    }
    return render(request, "streaming/job.html", context)


@require_POST
def cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    return _change(request, pk, lifecycle.cancel)


@require_POST
def retry(request: HttpRequest, pk: UUID) -> HttpResponse:
    return _change(request, pk, lifecycle.retry)


@require_POST
def delete(request: HttpRequest, pk: UUID) -> HttpResponse:
    found = _job(request, pk)
    if not permissions.may_delete(request.user, found):
        raise PermissionDenied
    lifecycle.delete(found)
    if negotiation.wants_json(request):
        return HttpResponse(status=204)
    messages.success(request, f"The transcript of “{found.upload.name}” was deleted. The recording is still there.")
    return redirect(found.upload)


@require_safe
def transcript(request: HttpRequest, pk: UUID, format: str) -> HttpResponse:
    """The transcript as a file; of a running job, as far as it is."""
    found = _job(request, pk)
    if format not in exports.FORMATS:
        raise Http404
    return exports.response(found, format)


def _job(request: HttpRequest, pk: UUID) -> Job:
    visible = Job.objects.visible_to(request.user).select_related("upload").defer("upload__peaks")
    return get_object_or_404(visible, pk=pk)


def _change(request: HttpRequest, pk: UUID, change: Any) -> HttpResponse:
    found = _job(request, pk)
    if not permissions.may_change(request.user, found):
        raise PermissionDenied
    try:
        change(found)
    except lifecycle.JobRefused as refusal:
        if refusal.code == "not_found":
            raise Http404 from refusal
        if negotiation.wants_json(request):
            return JsonResponse({"error": str(refusal)}, status=STATUS_OF_REFUSAL.get(refusal.code, 400))
        messages.error(request, str(refusal))
    if negotiation.wants_json(request):
        return JsonResponse(events.job_object(found))
    return redirect(reverse("job", args=[pk]))
