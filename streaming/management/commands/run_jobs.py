"""`manage.py run_jobs`: a worker. Any number of them, on any machine that has the database and the files."""

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
    help = "Runs jobs until it is told to stop; what it has not finished then, another worker goes on with."

    def handle(self, *args: Any, **options: Any) -> None:
        require_migrated()
        with measured():
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
def measured() -> Iterator[None]:
    """Tell Prometheus how this process does, where TRANSCRIBE_METRICS_PORT is set: a worker has no other address."""
    host, port = settings.TRANSCRIBE_METRICS_HOST, settings.TRANSCRIBE_METRICS_PORT
    if not port:
        yield
        return
    try:
        server, thread = start_http_server(port, host, metrics.PROCESS)
    except OSError as error:
        raise CommandError(f"The metrics can't be served on {host}:{port}: {error.strerror}.") from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
