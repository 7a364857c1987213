"""Run an engine to completion, retrying transient errors from the end of the last final.

Called by `attempt.py` and by the `transcribe` command.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from streaming import metrics
from streaming.backoff import pause_seconds
from streaming.engines.base import Engine, EngineBusy, EngineError, Request
from streaming.results import Result
from streaming.spool import Spool

logger = logging.getLogger(__name__)

MOST_FAILURES = 8  # in a row; with the backoff, about a minute and a half
FIRST_PAUSE_SECONDS = 0.5
RESET_SECONDS = 10.0  # seconds of audio consumed since the last failure that reset the count of failures


async def transcribe_with_retries(engine: Engine, spool: Spool, request: Request) -> AsyncGenerator[Result, None]:
    """Yield the engine's results. Raises `EngineError` if it is permanent, or the last one after all retries.

    Raises `EngineBusy` at once: the caller returns the job to the queue, so that other jobs can run meanwhile.
    """
    failures = 0
    while True:
        position = spool.position
        try:
            async with aclosing(engine.transcribe(spool, request)) as results:
                async for result in results:
                    # Clip times to the decoded audio: engines may date words after the end of the recording.
                    result = result.within(spool.seconds)
                    yield result
                    if not result.is_partial:
                        failures = 0
                        request = request.after(result)
            return
        except EngineBusy:
            raise
        except EngineError as error:
            if spool.position - position >= RESET_SECONDS:
                failures = 0
            failures += 1
            if error.permanent or failures > MOST_FAILURES:
                raise
            metrics.FAILURES.labels("engine").inc()
            logger.warning("Retrying the engine from %.1f s after an error: %s", request.start_time, error)
            await asyncio.sleep(pause_seconds(failures - 1, FIRST_PAUSE_SECONDS))
