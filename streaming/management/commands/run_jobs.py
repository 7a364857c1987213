"""`manage.py run_jobs` runs a worker, which claims queued jobs and transcribes them.

Any number of workers may run, on any machine with access to the database and the files.
"""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from prometheus_client import start_http_server

from streaming import metrics
from streaming.db import require_migrated
from streaming.worker.runner import Runner
from streaming.worker.shutdown import exit_by_deadline


class Command(BaseCommand):
    help = "Runs queued jobs until it is stopped. Another worker then continues the unfinished jobs."

    def handle(self, *args: Any, **options: Any) -> None:
        require_migrated()
        with metrics_served():
            asyncio.run(self.run())

    async def run(self) -> None:
        running = asyncio.create_task(Runner().run())

        def stop() -> None:
            exit_by_deadline()
            running.cancel()

        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop)
        with suppress(asyncio.CancelledError):
            await running


@contextmanager
def metrics_served() -> Iterator[None]:
    """Serve Prometheus metrics on TRANSCRIBE_METRICS_PORT, if set. A worker has no other port to scrape."""
    host, port = settings.TRANSCRIBE_METRICS_HOST, settings.TRANSCRIBE_METRICS_PORT
    if not port:
        yield
        return
    try:
        server, thread = start_http_server(port, host, metrics.PROCESS)
    except OSError as error:
        raise CommandError(
            f"Could not serve metrics on {host}:{port}: {error.strerror}. Set another TRANSCRIBE_METRICS_PORT."
        ) from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
