"""Whether a socket may be opened from the page that opens it (a browser says which in `Origin`)."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.utils.http import is_same_domain


def is_allowed(scope: Mapping[str, Any]) -> bool:
    """Return whether the Origin of a WebSocket is this site's own (scheme, host and port) or a trusted one.

    A program that is no browser sends none; it has no other site's cookies to abuse, and is allowed.
    """
    headers = dict(scope["headers"])
    if b"origin" not in headers:
        return True
    origin = headers[b"origin"].decode("latin-1").lower()
    scheme = "https" if scope.get("scheme") == "wss" else "http"
    host = headers.get(b"host", b"").decode("latin-1").lower()
    is_own = origin == f"{scheme}://{host}" and validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS)
    return is_own or any(is_same(origin, trusted.lower()) for trusted in settings.CSRF_TRUSTED_ORIGINS)


def is_same(origin: str, trusted: str) -> bool:
    """Return whether an origin is one that the setting names, `https://*.example.org` as in Django."""
    scheme, _, host = origin.partition("://")
    trusted_scheme, _, trusted_host = trusted.partition("://")
    return scheme == trusted_scheme and is_same_domain(host, trusted_host.removeprefix("*"))
