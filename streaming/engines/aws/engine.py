"""The engine for Amazon Transcribe. It streams audio in real time; the service bills each stream by its duration.

If a stream breaks off, `worker/retry.py` calls the engine again from the end of the last final. The modules that import
Amazon's libraries are loaded at the first job: the libraries are large, and start threads, which must not exist when a
process forks.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, ClassVar

from django.conf import settings

from streaming.engines.aws import account
from streaming.engines.aws import options as aws_options
from streaming.engines.base import Engine, EngineError, Option, Quote, Request
from streaming.results import Result
from streaming.spool import Spool


class AwsEngine(Engine):
    name = "aws"
    label = "Amazon Transcribe"
    languages: ClassVar[Mapping[str, str]] = aws_options.LANGUAGES
    options: ClassVar[tuple[Option, ...]] = aws_options.OPTIONS
    test_note = "A test sends three seconds of speech. Amazon bills 15 seconds for it."

    @classmethod
    def default_language(cls, options: Mapping[str, Any]) -> str:
        return "" if aws_options.identifies_language(options) else super().default_language(options)

    @classmethod
    def check(cls, language_code: str, options: Mapping[str, Any], channels: int) -> None:
        aws_options.check(language_code, options, channels)

    @classmethod
    def missing(cls) -> str:
        return "" if account.region() else "Set AWS_REGION, e.g. eu-west-1, to use Amazon Transcribe."

    @classmethod
    def channels(cls, options: Mapping[str, Any]) -> int:
        return 2 if options.get("enable_channel_identification") else 1

    @classmethod
    def quote(cls, duration: float, options: Mapping[str, Any]) -> Quote | None:
        return aws_options.quote(duration, options, account.region(), settings.TRANSCRIBE_AWS_PACE)

    @classmethod
    def address(cls) -> str:
        try:
            return account.endpoint(account.region())
        except EngineError as error:
            return str(error)  # the admin's page of engines shows the cause to administrators

    @classmethod
    def most_jobs(cls) -> int | None:
        return settings.TRANSCRIBE_AWS_MAX_STREAMS

    @classmethod
    async def test_connection(cls) -> str:
        from streaming.engines.aws import session  # imports Amazon's libraries, as below

        return await session.test_connection()

    async def transcribe(self, audio: Spool, request: Request) -> AsyncGenerator[Result, None]:
        # The service may end its answer without an error although some words are not final or some audio was not read.
        # In that case open a second stream for the rest. Words that are not final after the second stream either are
        # kept and marked as provisional, so that no third stream is billed.
        for keeps_unconfirmed in (False, True):
            async with aclosing(self._stream(audio, request, keeps_unconfirmed)) as results:
                async for result in results:
                    if result is None:
                        return
                    if not result.is_partial:
                        request = request.after(result)
                    yield result

    async def _stream(
        self, audio: Spool, request: Request, keeps_unconfirmed: bool
    ) -> AsyncGenerator[Result | None, None]:
        """Yield the results of one stream, then None unless the caller must open another stream."""
        # This imports Amazon's libraries. They are large, and only workers that run a job of this engine need them.
        from streaming.engines.aws.session import Session

        results: asyncio.Queue[Result | None] = asyncio.Queue()
        session = asyncio.create_task(
            Session(audio, request, results.put_nowait, keeps_unconfirmed=keeps_unconfirmed).run()
        )
        session.add_done_callback(lambda _: results.put_nowait(None))
        try:
            while (result := await results.get()) is not None:
                yield result
            if await session:  # raises the error that ended the session, if any
                yield None
        finally:
            # Close the stream, also if the caller closes this generator: AWS bills a stream until it is closed.
            session.cancel()
            await asyncio.gather(session, return_exceptions=True)
