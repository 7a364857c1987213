"""Decide which pages may open sockets, by the `Origin` that browsers send. Consumers and a middleware call this."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.utils.http import is_same_domain


def is_https_only() -> bool:
    """Return whether people reach the site by https alone, as the trusted origins tell.

    A TLS proxy talks plain HTTP to this process, so the scheme of a connection does not tell it.
    """
    trusted: list[str] = settings.CSRF_TRUSTED_ORIGINS
    return bool(trusted) and all(origin.lower().startswith("https://") for origin in trusted)


def is_allowed(scope: Mapping[str, Any]) -> bool:
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
    return is_own or any(is_same(origin, trusted.lower()) for trusted in settings.CSRF_TRUSTED_ORIGINS)


def is_same(origin: str, trusted: str) -> bool:
    """Return whether an origin is one that the setting names, `https://*.example.org` as in Django."""
    scheme, _, host = origin.partition("://")
    trusted_scheme, _, trusted_host = trusted.partition("://")
    return scheme == trusted_scheme and is_same_domain(host, trusted_host.removeprefix("*"))
