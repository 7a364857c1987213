"""The engine of Amazon Transcribe: one call is one stream, at the speed of the recording.

`hear` asks for another stream from the end of the last final when one breaks off. Amazon's libraries are imported
when there is a job for them: they are large, and start what must not be there before a process forks.
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
        return "" if account.region() else "Set AWS_REGION, as in eu-west-1, to use Amazon Transcribe."

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
            return str(error)  # the page that shows it is where a person looks for the reason

    @classmethod
    def most_jobs(cls) -> int | None:
        return settings.TRANSCRIBE_AWS_MAX_STREAMS

    @classmethod
    async def test_connection(cls) -> str:
        from streaming.engines.aws import session as aws_session  # Amazon's libraries, as below

        return await aws_session.test_connection()

    async def transcribe(self, audio: Spool, request: Request) -> AsyncGenerator[Result, None]:
        # An answer may end cleanly with words that never became final, or without all of the sound having been heard.
        # What is missing is asked for once more; words that do not become final then either are kept as they are, and
        # marked.
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
        """Yield the results of one stream; None at its end, if all that was heard is final."""
        # Amazon's libraries are large, and only a worker with such a job needs them.
        from streaming.engines.aws.session import Session

        results: asyncio.Queue[Result | None] = asyncio.Queue()
        session = asyncio.create_task(
            Session(audio, request, results.put_nowait, keeps_unconfirmed=keeps_unconfirmed).run()
        )
        session.add_done_callback(lambda _: results.put_nowait(None))
        try:
            while (result := await results.get()) is not None:
                yield result
            if await session:  # raises what ended it
                yield None
        finally:
            # Whatever the reason is: a stream that nobody wants any more is closed, or it goes on costing.
            session.cancel()
            await asyncio.gather(session, return_exceptions=True)
