"""Signing in, signing out and changing the password. The latter two make open sockets re-check their sessions."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponseBase

from streaming import broadcast

View = Callable[..., HttpResponseBase]


class SignInView(LoginView):
    """Django's, but a `next` that names the sign-in page leads to the library: Django fails with an error 500."""

    redirect_authenticated_user = True

    def get_redirect_url(self) -> str:  # type: ignore[override]  # the stubs give it a parameter that it has not
        address: str = super().get_redirect_url()
        return "" if urlsplit(address).path == self.request.path else address


def ends_sessions(view: View) -> View:
    """After a POST, tell all processes to re-check viewer permissions now rather than at the next periodic check."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = view(request, *args, **kwargs)
        if request.method == "POST":
            broadcast.doubt()
        return response

    return answer
