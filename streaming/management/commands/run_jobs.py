"""`manage.py run_jobs`: a worker. Any number of them, on any machine that has the database and the files."""

import asyncio
import signal
from contextlib import suppress
from typing import Any

from django.core.management.base import BaseCommand

from streaming.database import refuse_unmigrated
from streaming.runner import Runner


class Command(BaseCommand):
    help = "Runs jobs until it is told to stop; what it has not finished then, another worker goes on with."

    def handle(self, *args: Any, **options: Any) -> None:
        refuse_unmigrated()
        asyncio.run(self.run())

    async def run(self) -> None:
        running = asyncio.create_task(Runner().run())
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, running.cancel)
        with suppress(asyncio.CancelledError):
            await running
