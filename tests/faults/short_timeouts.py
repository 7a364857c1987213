"""`python -m tests.faults.short_timeouts`: `manage.py serve` with waiting times that a test can sit out."""

from typing import Any

import django
from django.core.management import call_command


def hurry() -> None:
    from transcribe_site.server import bodies

    bodies.ANONYMOUS_SECONDS, bodies.GRACE_SECONDS, bodies.RATE_SECONDS = 3.0, 1.0, 2.0


def application() -> Any:
    """Return the ASGI application, for `uvicorn --factory`."""
    from transcribe_site import asgi

    hurry()
    return asgi.application


def main() -> None:
    django.setup()
    hurry()
    # Only now: the settings are read, and the server installs its reactor.
    from transcribe_site.management.commands import serve
    from transcribe_site.server import http

    http.IDLE_SECONDS, http.HEAD_SECONDS = 4.0, 0.5
    serve.PING_SECONDS, serve.PONG_SECONDS = 0.5, 5.0  # a client on a busy machine answers in time
    call_command("serve")


if __name__ == "__main__":
    main()
