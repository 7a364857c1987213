"""Opens a stream to Amazon Transcribe, with AWS's SDK on our own connection. `session.py` calls it.

The SDK builds and signs the request and each chunk. We replace its connection and its parser. The connection polls the
request body from a thread without pause, which occupies a core per stream. It does not report that it is broken, and
never returns if it fails early. The parser raises on unexpected fields, and accepts an answer that ends within a
message as complete.
"""

import asyncio
import logging
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from amazon_transcribe.auth import Credentials, StaticCredentialResolver
from amazon_transcribe.eventstream import EventSigner, EventStreamMessageSerializer, ParserError
from amazon_transcribe.model import AudioStream, StartStreamTranscriptionRequest
from amazon_transcribe.request import PreparedRequest
from amazon_transcribe.serialize import AudioEventSerializer, TranscribeStreamingSerializer
from amazon_transcribe.signer import SigV4RequestSigner
from h2.exceptions import ProtocolError

from streaming.engines.aws.account import Account
from streaming.engines.aws.connection import Connection, Head
from streaming.engines.aws.http2 import StreamInterrupted
from streaming.engines.aws.messages import MalformedAnswer, SdkResult, read_results, refusal
from streaming.engines.aws.network import connect

logger = logging.getLogger(__name__)

SERVICE = "transcribe"  # the service's name in signatures
PATH = "/stream-transcription"
# The headers of options that the service supports and the SDK's last release does not.
NEWER_HEADERS = {"transcript_format": "x-amzn-transcribe-transcript-format"}
BODY_SECONDS, BODY_BYTES = 5.0, 64 * 1024  # limits for reading the body of an error response
# Exceptions that the SDK's parsers raise for damaged messages.
PARSER_ERRORS = (ParserError, struct.error, ValueError, LookupError, TypeError, AttributeError, ProtocolError)


class Stream:
    """An open stream: the session sends audio chunks into it and reads results from it."""

    def __init__(self, connection: Connection, audio: AudioStream) -> None:
        self._connection = connection
        self._audio = audio

    async def send(self, chunk: bytes, most_unsent_bytes: int, seconds: float) -> None:
        """Wait until at most `most_unsent_bytes` are unsent, then sign and send a chunk.

        Raises `TimeoutError` if the wait takes `seconds`.
        """
        await self._connection.wait_for_room(most_unsent_bytes, seconds)
        await self._audio.send_audio_event(chunk)

    async def end(self) -> None:
        """Send the end of the audio. The service then finishes its answer."""
        await self._audio.end_stream()

    @property
    def has_sent_end(self) -> bool:
        """Whether the end of the audio was sent before the answer ended. If not, the service lacks some audio."""
        return self._connection.has_sent_end

    async def has_stopped_reading(self) -> bool:
        """Return whether the service reported, after its answer, that it had stopped reading before the audio ended."""
        return await self._connection.has_stopped_reading()

    async def results(self) -> AsyncIterator[list[SdkResult]]:
        """Yield the results of each event of the answer until the answer ends.

        Raises `ServiceError` for a failure that the service reports within the answer, `StreamInterrupted` if the
        answer ends early, and `MalformedAnswer` if it can't be parsed.
        """
        events = read_results(self._connection.chunks())
        while True:
            try:
                results = await anext(events)
            except StopAsyncIteration:
                return
            except PARSER_ERRORS as error:
                raise MalformedAnswer(str(error)) from error
            yield results


@asynccontextmanager
async def open_stream(account: Account, parameters: Mapping[str, Any]) -> AsyncIterator[Stream]:
    """Open a stream; `parameters` are arguments of the SDK's `start_stream_transcription`. Always closes it at the end.

    Raises `ServiceError` if the service refuses the request, `OSError` if the connection fails, and `MalformedAnswer`.
    There is no timeout: the caller sets one.
    """
    connection = Connection()
    try:
        transport = await connect(connection, account.endpoint, account.ca_file)
        if transport.get_extra_info("ssl_object").selected_alpn_protocol() != "h2":
            raise StreamInterrupted("the server does not speak HTTP/2")
        credentials = Credentials(account.access_key_id, account.secret_access_key, account.session_token)
        try:
            # In a thread, because the SDK blocks while it signs.
            request = await asyncio.to_thread(_signed_request, account, credentials, parameters)
            head = await connection.request(PATH, request.method, request.headers.as_list())
        except PARSER_ERRORS as error:
            raise MalformedAnswer(str(error)) from error
        await _check(head, connection)
        yield Stream(connection, _audio_stream(account, credentials, request, connection))
    finally:
        connection.close()


def _signed_request(account: Account, credentials: Credentials, parameters: Mapping[str, Any]) -> PreparedRequest:
    known = {name: value for name, value in parameters.items() if name not in NEWER_HEADERS}
    shape = StartStreamTranscriptionRequest(**known)
    request = TranscribeStreamingSerializer().serialize_start_stream_transcription_request(account.endpoint, shape)
    for name, header in NEWER_HEADERS.items():
        if name in parameters:
            request.headers[header] = parameters[name]
    return SigV4RequestSigner(SERVICE, account.region).sign(request.prepare(), credentials)


async def _check(head: Head, connection: Connection) -> None:
    """Log the request id, which AWS's support needs. Raises `ServiceError` unless the status is 200."""
    request_id = head.headers.get("x-amzn-request-id") or head.headers.get("x-amzn-requestid") or "without an id"
    if head.status == 200:
        session_id = head.headers.get("x-amzn-transcribe-session-id", "without an id")
        logger.info("Amazon Transcribe accepted request %s, session %s", request_id, session_id)
        return
    error = refusal(head.status, head.headers, await _body(connection))
    logger.info("Amazon Transcribe refused request %s: %s %s", request_id, error.status, error.code)
    raise error


async def _body(connection: Connection) -> bytes:
    """Return the body of an error response, or the part of it that arrived within the limits.

    A part is no error, because the headers may hold the error code.
    """
    received = bytearray()
    with suppress(StreamInterrupted, TimeoutError):
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in connection.chunks():
                received += chunk
                if len(received) > BODY_BYTES:
                    break
    return bytes(received)


def _audio_stream(
    account: Account, credentials: Credentials, request: PreparedRequest, connection: Connection
) -> AudioStream:
    """Return the SDK's stream of signed chunks. All chunks must be signed with the credentials of the request."""
    signature = request.headers.get("Authorization", "").rpartition("Signature=")[2]
    return AudioStream(
        input_stream=connection,
        event_serializer=AudioEventSerializer(),
        eventstream_serializer=EventStreamMessageSerializer(),
        event_signer=EventSigner(SERVICE, account.region),
        initial_signature=bytes.fromhex(signature),
        credential_resolver=StaticCredentialResolver(
            credentials.access_key_id, credentials.secret_access_key, credentials.session_token
        ),
    )
