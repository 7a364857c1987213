"""The two voices of an answer: a page for people, JSON for a program that asks for it."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render

RETRY_SECONDS = 10
UNAVAILABLE = {503, 507}  # the server's state, not the request, is the reason


def wants_json(request: HttpRequest) -> bool:
    """Tell whether the client prefers JSON. One that takes anything, as curl does, gets what a browser gets."""
    return request.get_preferred_type(["text/html", "application/json"]) == "application/json"


def refuse(request: HttpRequest, reason: str, status: int, to: str = "library") -> HttpResponse:
    """Answer with the reason: as JSON with its status, or as a message on the page `to`; 503 and 507 have a page."""
    if status in UNAVAILABLE:
        return unavailable(request, reason, status)
    if wants_json(request):
        return JsonResponse({"error": reason}, status=status)
    messages.error(request, reason)
    return redirect(to)


def unavailable(request: HttpRequest, reason: str, status: int) -> HttpResponse:
    """Answer with 503 and Retry-After, or with 507. The page needs neither database nor session."""
    response: HttpResponse
    if wants_json(request):
        response = JsonResponse({"error": reason}, status=status)
    else:
        response = render(None, "unavailable.html", {"reason": reason}, status=status)
    if status == 503:
        response["Retry-After"] = str(RETRY_SECONDS)
    response["Cache-Control"] = "no-store"
    return response
