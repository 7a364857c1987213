"""The SDK of Amazon Transcribe on a connection of ours, one a stream.

What of the SDK is in use is imported here (and its `Response` by the connection), and what we mend in it stands
here. Its own connection asks the request body for bytes again and again from a thread of its own, whether or not
there are any: a core for a single stream. It never tells that a connection was cut, and waits for ever for one
that failed too early.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from amazon_transcribe import exceptions as sdk
from amazon_transcribe.auth import StaticCredentialResolver
from amazon_transcribe.client import TranscribeStreamingClient
from amazon_transcribe.deserialize import TranscribeStreamingResponseParser
from amazon_transcribe.endpoints import StaticEndpointResolver
from amazon_transcribe.eventstream import EventSigner, EventStreamMessageSerializer, ParserError
from amazon_transcribe.model import AudioStream, Entity, Item, StartStreamTranscriptionEventStream
from amazon_transcribe.model import Result as HeardResult
from amazon_transcribe.serialize import AudioEventSerializer, TranscribeStreamingSerializer
from h2.exceptions import ProtocolError

from streaming.engines.aws_account import Account
from streaming.engines.aws_connection import CLOSE_SECONDS, Connection
from streaming.engines.aws_http2 import CutOff, tls_context

__all__ = ["CutOff", "Entity", "HeardResult", "Item", "Stream", "Unreadable", "open_stream", "sdk"]


class Unreadable(Exception):
    """The service sent what is not of its protocol."""


# What the SDK's parsers raise for that.
GARBAGE = (ParserError, struct.error, ValueError, LookupError, TypeError, AttributeError, ProtocolError)


class Client(TranscribeStreamingClient):
    """The SDK's client on a connection of ours, without the SDK's own threads. One a stream."""

    def __init__(self, account: Account, connection: Connection) -> None:
        # Not the SDK's own __init__: that starts its threads.
        self._connection = connection
        self._endpoint_resolver = StaticEndpointResolver(account.endpoint)
        self.service_name, self.region = "transcribe", account.region
        self._event_signer = EventSigner(self.service_name, self.region)
        # The same for the whole stream: the service takes no other in the middle of it.
        self._credential_resolver = StaticCredentialResolver(
            account.access_key_id, account.secret_access_key, account.session_token
        )
        self._response_parser = TranscribeStreamingResponseParser()
        self._serializer = TranscribeStreamingSerializer()
        self._session_manager = connection  # type: ignore[assignment]  # which does what is asked of that one

    def _create_audio_stream(self, signed_request: Any) -> AudioStream:
        return AudioStream(
            input_stream=self._connection,
            event_serializer=AudioEventSerializer(),
            eventstream_serializer=EventStreamMessageSerializer(),
            event_signer=self._event_signer,
            initial_signature=self._extract_signature(signed_request),
            credential_resolver=self._credential_resolver,
        )


class Stream:
    """An open stream: sound in, results out."""

    def __init__(self, connection: Connection, opened: StartStreamTranscriptionEventStream) -> None:
        self._connection = connection
        self._opened = opened

    async def send(self, chunk: bytes, most_unsent_bytes: int, seconds: float) -> None:
        """Sign and send a chunk, after no more than so much is waiting. Raises `TimeoutError` after `seconds`."""
        await self._connection.room(most_unsent_bytes, seconds)
        await self._opened.input_stream.send_audio_event(chunk)

    async def end(self) -> None:
        """Say that there is no more sound; the service then finishes its answer."""
        await self._opened.input_stream.end_stream()

    @property
    def has_sent_end(self) -> bool:
        """Whether the end went out before the answer's end came: what waited until then is not sent any more."""
        return self._connection.has_sent_end

    async def was_stopped(self) -> bool:
        """Return whether the service said, after the end of its answer, that it had stopped listening before ours."""
        return await self._connection.was_stopped()

    async def results(self) -> AsyncIterator[list[HeardResult]]:
        """Yield what the service heard, an event at a time, until it ends.

        Raises what the service says in between (`sdk.ServiceException`), `CutOff` and `Unreadable`.
        """
        events = aiter(self._opened.output_stream)
        while True:
            try:
                event = await anext(events)
            except StopAsyncIteration:
                return
            except GARBAGE as error:
                raise Unreadable(str(error)) from error
            if event is not None:  # of another kind than a transcript
                yield event.transcript.results


@asynccontextmanager
async def open_stream(account: Account, parameters: Mapping[str, Any]) -> AsyncIterator[Stream]:
    """Open a stream with these arguments of the SDK's `start_stream_transcription`; leave it at the end, however.

    Raises what the service answers (`sdk.ServiceException`) and `OSError`. It is the caller who gives it time.
    """
    parts = urlsplit(account.endpoint)
    transport, connection = await asyncio.get_running_loop().create_connection(
        Connection,
        parts.hostname or "",
        parts.port or 443,
        ssl=await asyncio.to_thread(tls_context, account.ca_file),
        ssl_shutdown_timeout=CLOSE_SECONDS,
    )
    try:
        spoken = transport.get_extra_info("ssl_object").selected_alpn_protocol()
        if spoken != "h2":
            raise CutOff("it does not speak HTTP/2")
        try:
            opened = await Client(account, connection).start_stream_transcription(**parameters)
        except GARBAGE as error:
            raise Unreadable(str(error)) from error
        yield Stream(connection, opened)
    finally:
        connection.close()
