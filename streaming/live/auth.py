"""Access checks for sockets: the person of a session, the jobs that they may watch, and the allowed origins.

A socket outlives the request that opened it, so consumers and feeds repeat these checks while it is open. The server
and a middleware use the checks of sessions and origins too.
"""

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

# Key in the ASGI scopes of our own server. Its value is a function; call it when a connection belongs to a signed-in
# person, so that it does not count as an anonymous one.
SIGNED_IN = "transcribe_site.signed_in"


def current_user(session_key: str | None) -> User | None:
    """Return the person of a session, or None if it has ended (signed out, expired, password changed, blocked).

    Two queries.
    """
    if session_key is None:
        return None
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = get_user(request)
    return user if isinstance(user, User) else None


def watchable(session_key: str | None, job_ids: Iterable[UUID]) -> set[UUID] | None:
    """Return which of these jobs the person of a session may watch; None if the session has ended."""
    user = current_user(session_key)
    if user is None:
        return None
    return set(Job.objects.visible_to(user).filter(pk__in=job_ids).order_by().values_list("pk", flat=True))


def rechecks_access(view: View) -> View:
    """Wrap a view: after a POST, all processes re-check viewer permissions now, not at the next periodic check."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = view(request, *args, **kwargs)
        if request.method == "POST":
            publisher.recheck_access()
        return response

    return answer


def is_https_only() -> bool:
    """Return whether all addresses of the site are https, according to `CSRF_TRUSTED_ORIGINS`.

    The scheme of a connection can't answer this, because a TLS proxy talks plain HTTP to this process.
    """
    trusted: list[str] = settings.CSRF_TRUSTED_ORIGINS
    return bool(trusted) and all(origin.lower().startswith("https://") for origin in trusted)


def is_origin_allowed(scope: Mapping[str, Any]) -> bool:
    """Return whether the Origin of a WebSocket is this site's own (scheme, host and port) or a trusted one.

    Clients that are not browsers send no Origin. Another site can't make them send a person's cookies, so they are
    allowed.
    """
    headers = dict(scope["headers"])
    if b"origin" not in headers:
        return True
    origin = headers[b"origin"].decode("latin-1").lower()
    # On a site with TLS, anybody on the network path can forge an http page of the same host.
    scheme = "https" if scope.get("scheme") == "wss" or is_https_only() else "http"
    host = headers.get(b"host", b"").decode("latin-1").lower()
    is_own = origin == f"{scheme}://{host}" and validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS)
    return is_own or any(_is_same_origin(origin, trusted.lower()) for trusted in settings.CSRF_TRUSTED_ORIGINS)


def _is_same_origin(origin: str, trusted: str) -> bool:
    """Return whether an origin matches an entry of the setting, which may be `https://*.example.org` as in Django."""
    scheme, _, host = origin.partition("://")
    trusted_scheme, _, trusted_host = trusted.partition("://")
    return scheme == trusted_scheme and is_same_domain(host, trusted_host.removeprefix("*"))
