"""The two voices of an answer: a page for people, JSON for a program that asks for it."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect


def wants_json(request: HttpRequest) -> bool:
    """Tell whether the client prefers JSON. One that takes anything, as curl does, gets what a browser gets."""
    return request.get_preferred_type(["text/html", "application/json"]) == "application/json"


def refuse(request: HttpRequest, reason: str, status: int, to: str = "library") -> HttpResponse:
    """Answer with the reason: as JSON with its status, or as a message on the page named `to`."""
    if wants_json(request):
        return JsonResponse({"error": reason}, status=status)
    messages.error(request, reason)
    return redirect(to)
