"""An engine heard to the end: what may pass is tried again, from the end of the last final."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from streaming.audio import Spool
from streaming.engines.base import Engine, EngineError, Request
from streaming.transcripts import Result

logger = logging.getLogger(__name__)

# A failure that may pass is tried again this often in a row without a new final, with a pause before each.
PAUSES_SECONDS = (0.5, 2.0, 5.0)


async def hear(engine: Engine, spool: Spool, request: Request) -> AsyncGenerator[Result, None]:
    """Yield the engine's results. Raises `EngineError` for a failure that is permanent or does not pass."""
    failures = 0
    while True:
        try:
            async with aclosing(engine.transcribe(spool, request)) as results:
                async for result in results:
                    yield result
                    if not result.is_partial:
                        failures = 0
                        request = replace(request, start_time=max(request.start_time, result.end_time))
            return
        except EngineError as error:
            failures += 1
            if error.permanent or failures > len(PAUSES_SECONDS):
                raise
            logger.warning("The engine goes on at %.1f s after a failure: %s", request.start_time, error)
            await asyncio.sleep(PAUSES_SECONDS[failures - 1])
