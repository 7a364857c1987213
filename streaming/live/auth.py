"""Who somebody is now, and what they may watch: for sockets, which outlive the request that opened them."""

from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from importlib import import_module
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponseBase
from django.http.request import split_domain_port, validate_host
from django.utils.http import is_same_domain

from streaming import publisher
from streaming.models import Job

View = Callable[..., HttpResponseBase]

# In a scope of our own server: a function that notes that a request or socket is a signed-in person's.
SIGNED_IN = "transcribe_site.signed_in"


def current_user(session_key: str | None) -> User | None:
    """Return the person of a session, or None once it has ended (signed out, expired, password changed, blocked)."""
    if session_key is None:
        return None
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = get_user(request)
    return user if isinstance(user, User) else None


def watchable(session_key: str | None, job_ids: Iterable[UUID]) -> set[UUID] | None:
    """Return which of these jobs the person of a session may watch; None if nobody is signed in there any more."""
    user = current_user(session_key)
    if user is None:
        return None
    return set(Job.objects.visible_to(user).filter(pk__in=job_ids).order_by().values_list("pk", flat=True))


def rechecks_access(view: View) -> View:
    """After a POST, tell all processes to re-check viewer permissions now rather than at the next periodic check."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = view(request, *args, **kwargs)
        if request.method == "POST":
            publisher.recheck_access()
        return response

    return answer


def is_https_only() -> bool:
    """Return whether people reach the site by https alone, as the trusted origins tell.

    A TLS proxy talks plain HTTP to this process, so the scheme of a connection does not tell it.
    """
    trusted: list[str] = settings.CSRF_TRUSTED_ORIGINS
    return bool(trusted) and all(origin.lower().startswith("https://") for origin in trusted)


def is_origin_allowed(scope: Mapping[str, Any]) -> bool:
    """Return whether the Origin of a WebSocket is this site's own (scheme, host and port) or a trusted one.

    Clients that are not browsers send no Origin. They carry no other site's cookies, so they are allowed.
    """
    headers = dict(scope["headers"])
    if b"origin" not in headers:
        return True
    origin = headers[b"origin"].decode("latin-1").lower()
    # Behind TLS an http page of the same name is under the control of anybody on the network path.
    scheme = "https" if scope.get("scheme") == "wss" or is_https_only() else "http"
    host = headers.get(b"host", b"").decode("latin-1").lower()
    is_own = origin == f"{scheme}://{host}" and validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS)
    return is_own or any(_is_same_origin(origin, trusted.lower()) for trusted in settings.CSRF_TRUSTED_ORIGINS)


def _is_same_origin(origin: str, trusted: str) -> bool:
    """Return whether an origin is one that the setting names, `https://*.example.org` as in Django."""
    scheme, _, host = origin.partition("://")
    trusted_scheme, _, trusted_host = trusted.partition("://")
    return scheme == trusted_scheme and is_same_domain(host, trusted_host.removeprefix("*"))
