"""The two voices of an answer: a page for people, JSON for a program that asks for it."""

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
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


def ask_to_sign_in(request: HttpRequest) -> HttpResponse:
    """Answer somebody who isn't signed in; a program couldn't do anything with the sign-in page."""
    if wants_json(request):
        return JsonResponse({"error": "You are signed out. Sign in and try again."}, status=401)
    return redirect_to_login(request.get_full_path())
