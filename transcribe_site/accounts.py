"""Signing out and a new password: sockets that were opened before are told at once."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponseBase

from streaming import broadcast

View = Callable[..., HttpResponseBase]


def ends_sessions(view: View) -> View:
    """Let every process look, after a POST, who may still watch what they watch; else they look every few seconds."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = view(request, *args, **kwargs)
        if request.method == "POST":
            broadcast.doubt()
        return response

    return answer
