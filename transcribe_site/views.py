"""Whether the process lives."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse


@login_not_required
def healthz(request: HttpRequest) -> HttpResponse:
    """Answer as soon as the process can answer at all; asks nothing of database or channel layer."""
    return HttpResponse("ok\n", content_type="text/plain")
