"""Whether a socket may be opened from the page that opens it (a browser says which in `Origin`)."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings


def is_allowed(scope: Mapping[str, Any]) -> bool:
    """Return whether the Origin of a WebSocket is this site's own (scheme, host and port) or a trusted one.

    A program that is no browser sends none; it has no other site's cookies to abuse, and is allowed.
    """
    headers = dict(scope["headers"])
    if b"origin" not in headers:
        return True
    origin = headers[b"origin"].decode("latin-1").lower()
    scheme = "https" if scope.get("scheme") == "wss" else "http"
    own = f"{scheme}://{headers.get(b'host', b'').decode('latin-1').lower()}"
    return origin == own or origin in settings.CSRF_TRUSTED_ORIGINS
