"""`manage.py serve` runs daphne and, unless TRANSCRIBE_RUN_JOBS=0, the job runner on the same event loop."""

import asyncio
import gc
import logging
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from streaming.db import require_migrated
from streaming.worker.runner import Runner
from streaming.worker.shutdown import exit_by_deadline
from transcribe_site.server.connections import raise_descriptor_limit
from transcribe_site.static import refuse_uncollected

logger = logging.getLogger(__name__)

MESSAGE_BYTES = 256 * 1024  # a longer WebSocket message closes its socket; one above 64 KB gets an error event
HANDSHAKE_SECONDS = 10  # the timeout of the page; on a busy machine, many concurrent handshakes take this long
PING_SECONDS, PONG_SECONDS = 20.0, 30.0  # a peer that sends no pong is gone, even if its connection was not closed
SWEEP_SECONDS = 3600.0  # interval of the sweeps
STALE_SECONDS = 2 * 3600.0  # a file in use is written to more often


def sweep(folder: Path) -> None:
    """Delete the temporary files of uploads whose process was killed."""
    for path in folder.glob("*"):  # a missing folder has no files
        with suppress(OSError):  # another process has deleted the file
            if time.time() - path.stat().st_mtime > STALE_SECONDS:
                path.unlink()


async def sweep_periodically(folder: Path) -> None:
    while True:
        await asyncio.to_thread(sweep, folder)
        await asyncio.sleep(SWEEP_SECONDS)


class Command(BaseCommand):
    help = "Serves the site and, unless TRANSCRIBE_RUN_JOBS=0, runs jobs."

    def handle(self, *args: Any, **options: Any) -> None:
        # Imported here: daphne installs Twisted's reactor, which other commands must not do.
        from transcribe_site.asgi import application
        from transcribe_site.server.daphne import Server

        require_migrated()
        refuse_uncollected()
        # Store request bodies on the disk of the recordings, not in the system's temporary folder, which may be small.
        tempfile.tempdir = str(settings.FILE_UPLOAD_TEMP_DIR)
        self.running: asyncio.Task[None] | None = None
        self.sweeping: asyncio.Task[None] | None = None
        self.server = Server(
            application,
            endpoints=[f"tcp:port={settings.PORT}:interface={settings.HOST.replace(':', chr(92) + ':')}"],
            max_body_bytes=settings.MAX_BODY_BYTES,
            max_connections=raise_descriptor_limit(),
            websocket_handshake_timeout=HANDSHAKE_SECONDS,
            websocket_max_message_size=MESSAGE_BYTES,
            websocket_max_frame_size=MESSAGE_BYTES,
            websocket_timeout=-1,  # no overall timeout; pings detect dead peers
            ping_interval=PING_SECONDS,
            ping_timeout=PONG_SECONDS,
            http_timeout=3600,
            server_name="",
            ready_callable=self.begin,
            on_listening=self.announce,
            on_stop=self.stop,
        )
        # Exclude the imported modules from garbage collection: scanning them takes tens of milliseconds each time.
        gc.collect()
        gc.freeze()
        try:
            self.server.run()
        finally:
            exit_by_deadline()
        if self.server.failure:
            raise CommandError(f"The site can't listen on {settings.HOST}:{settings.PORT}: {self.server.failure}.")
        if self.running is not None and not self.running.cancelled() and self.running.exception() is not None:
            raise CommandError("The runner failed, so the server stopped. A process manager may restart it.")

    def begin(self) -> None:
        self.sweeping = asyncio.get_event_loop().create_task(sweep_periodically(settings.FILE_UPLOAD_TEMP_DIR))
        if settings.TRANSCRIBE_RUN_JOBS:
            self.running = asyncio.get_event_loop().create_task(Runner().run())
            self.running.add_done_callback(self.runner_ended)

    def runner_ended(self, running: "asyncio.Task[None]") -> None:
        """Stop the server if its runner has failed: otherwise it would accept recordings and never transcribe them."""
        if not running.cancelled() and (error := running.exception()):
            logger.critical("The runner failed", exc_info=error)
            self.server.stop()

    async def stop(self) -> None:
        exit_by_deadline()
        if self.sweeping is not None:
            self.sweeping.cancel()
        if self.running is not None:
            self.running.cancel()
            await asyncio.wait({self.running})

    def announce(self, host: str, port: int) -> None:
        jobs = "" if settings.TRANSCRIBE_RUN_JOBS else " Jobs are left to `manage.py run_jobs`."
        self.stdout.write(f"Serving on http://{f'[{host}]' if ':' in host else host}:{port}/ (end with Ctrl-C).{jobs}")
        self.stdout.flush()
