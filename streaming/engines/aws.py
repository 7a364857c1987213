"""The engine of Amazon Transcribe streaming."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any, ClassVar

from django.conf import settings

from streaming.audio import Spool
from streaming.engines import aws_options
from streaming.engines.base import Engine, Option, Quote, Request
from streaming.transcripts import Result


class AwsEngine(Engine):
    name = "aws"
    label = "Amazon Transcribe"
    languages: ClassVar[Mapping[str, str]] = aws_options.LANGUAGES
    options: ClassVar[tuple[Option, ...]] = aws_options.OPTIONS

    @classmethod
    def default_language(cls, options: Mapping[str, Any]) -> str:
        return "" if aws_options.identifies_language(options) else super().default_language(options)

    @classmethod
    def check(cls, language_code: str, options: Mapping[str, Any], channels: int) -> None:
        aws_options.check(language_code, options, channels)

    @classmethod
    def missing(cls) -> str:
        return "" if settings.AWS_REGION else "Set AWS_REGION to use Amazon Transcribe."

    @classmethod
    def channels(cls, options: Mapping[str, Any]) -> int:
        return 2 if options.get("enable_channel_identification") else 1

    @classmethod
    def quote(cls, duration: float, options: Mapping[str, Any]) -> Quote | None:
        return aws_options.quote(duration, options, settings.AWS_REGION, settings.TRANSCRIBE_AWS_PACE)

    @classmethod
    def most_jobs(cls) -> int | None:
        return settings.TRANSCRIBE_AWS_MAX_STREAMS

    async def transcribe(self, audio: Spool, request: Request) -> AsyncGenerator[Result, None]:
        raise NotImplementedError
        yield
