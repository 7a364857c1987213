"""The pages of jobs: the history, one job with its transcript, cancel, retry, delete, and the transcript as a file.

Called through `urls.py`. Every change is a POST. A client that asks for JSON gets JSON, with the reason of a refusal.
"""

from collections.abc import Callable
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from streaming import events
from streaming.jobs import lifecycle, permissions, queue
from streaming.models import Job, Status
from streaming.templatetags.segments import marks_words
from streaming.transcript import exports
from streaming.web.forms import HistoryForm
from uploads import negotiation
from uploads.models import sees_all

PAGE_LENGTH = 30  # jobs
# The columns of a segment that a job's page shows. `words` is large, and needed only for jobs that mark words.
SHOWN = ("job_id", "seq", "start_time", "end_time", "text", "speaker", "channel", "language_code", "is_provisional")
STATUS_OF_REFUSAL = {"not_found": 404, "conflict": 409}


@require_safe
def history(request: HttpRequest) -> HttpResponse:
    """Show the user's jobs, newest first, filtered by status and engine."""
    form = HistoryForm(request.GET)
    mine = Job.objects.filter(owner_id=request.user.pk).select_related("upload").defer("upload__peaks")
    form.is_valid()  # an invalid value is missing from cleaned_data, so it filters nothing
    wanted = {name: value for name, value in form.cleaned_data.items() if value}
    page = Paginator(mine.filter(**wanted), PAGE_LENGTH).get_page(request.GET.get("page"))
    return render(request, "streaming/history.html", {"page": page, "form": form, "is_narrowed": bool(wanted)})


@require_safe
def job(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show a job with its transcript so far, and the data with which the page continues live."""
    found = _job(request, pk)
    # The segments are read after the job: the socket sends every final after the last one on the page.
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
        "can_open_recording": found.owner_id == request.user.pk or sees_all(request.user),
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
    messages.success(request, f"Deleted the transcript of {found.upload.name}. The recording is kept.")
    return redirect(found.upload)


@require_safe
def transcript(request: HttpRequest, pk: UUID, format: str) -> HttpResponse:
    """Return the transcript as a file. A job that still runs gives a partial transcript."""
    found = _job(request, pk)
    if format not in exports.FORMATS:
        raise Http404
    return exports.response(found, format)


def _job(request: HttpRequest, pk: UUID) -> Job:
    visible = Job.objects.visible_to(request.user).select_related("upload").defer("upload__peaks")
    return get_object_or_404(visible, pk=pk)


def _change(request: HttpRequest, pk: UUID, change: Callable[[Job], Job]) -> HttpResponse:
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
