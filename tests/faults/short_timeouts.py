"""`python -m tests.faults.short_timeouts`: run `manage.py serve` with timeouts that are short enough for tests."""

from typing import Any

import django
from django.core.management import call_command


def shorten_body_timeouts() -> None:
    from transcribe_site.server import bodies

    bodies.ANONYMOUS_SECONDS, bodies.GRACE_SECONDS, bodies.RATE_SECONDS = 3.0, 1.0, 2.0


def application() -> Any:
    """Return the ASGI application, for `uvicorn --factory`."""
    from transcribe_site import asgi

    shorten_body_timeouts()
    return asgi.application


def main() -> None:
    django.setup()
    shorten_body_timeouts()
    # Inline imports: these modules need the settings, and the server installs its reactor when it is imported.
    from transcribe_site.management.commands import serve
    from transcribe_site.server import http

    http.IDLE_SECONDS, http.HEAD_SECONDS = 4.0, 0.5
    serve.PING_SECONDS, serve.PONG_SECONDS = 0.5, 5.0  # long enough for a client on a busy machine to answer pings
    call_command("serve")


if __name__ == "__main__":
    main()
