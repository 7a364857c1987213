"""The sign-in that everything is behind."""

from typing import Any

from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest, JsonResponse

from uploads.answers import wants_json


class SignInMiddleware(LoginRequiredMiddleware):
    """Django's, but a program is told that it is signed out: it could do nothing with the sign-in page."""

    def handle_no_permission(self, request: HttpRequest, view_func: Any) -> Any:  # a redirect, or JSON
        if wants_json(request):
            return JsonResponse({"error": "You are signed out. Sign in and try again."}, status=401)
        return super().handle_no_permission(request, view_func)
