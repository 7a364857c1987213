"""Content negotiation: views answer with HTML for browsers and with JSON for programs that request it."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render

RETRY_SECONDS = 10
UNAVAILABLE = {503, 507}  # statuses for problems of the server, where the same request may succeed later


def wants_json(request: HttpRequest) -> bool:
    """Return whether the client prefers JSON. A client that accepts anything, such as curl, gets HTML."""
    return request.get_preferred_type(["text/html", "application/json"]) == "application/json"


def refuse(request: HttpRequest, reason: str, status: int, to: str = "library") -> HttpResponse:
    """Answer with an error: JSON with `status`, or a redirect to the page `to` with `reason` as a message.

    Browsers get a page of its own for the statuses 503 and 507.
    """
    if status in UNAVAILABLE:
        return unavailable(request, reason, status)
    if wants_json(request):
        return JsonResponse({"error": reason}, status=status)
    messages.error(request, reason)
    return redirect(to)


def unavailable(request: HttpRequest, reason: str, status: int) -> HttpResponse:
    """Answer with 503 and Retry-After, or with 507. Rendering the page uses neither the database nor the session."""
    response: HttpResponse
    if wants_json(request):
        response = JsonResponse({"error": reason}, status=status)
    else:
        response = render(None, "unavailable.html", {"reason": reason}, status=status)
    if status == 503:
        response["Retry-After"] = str(RETRY_SECONDS)
    response["Cache-Control"] = "no-store"
    return response
