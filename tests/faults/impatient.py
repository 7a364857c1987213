"""`python -m tests.faults.impatient`: `manage.py serve` with waiting times that a test can sit out."""

import django
from django.core.management import call_command


def main() -> None:
    django.setup()
    # Only now: the settings are read, and the server installs its reactor.
    from transcribe_site import server
    from transcribe_site.management.commands import serve

    server.IDLE_SECONDS, server.HEAD_SECONDS = 4.0, 0.5
    serve.PING_SECONDS, serve.PONG_SECONDS = 0.5, 5.0  # a client on a busy machine answers in time
    call_command("serve")


if __name__ == "__main__":
    main()
