"""The SDK of Amazon Transcribe on a connection of ours, one a stream.

The engine uses the SDK to build and sign the request and each chunk. The rest is ours, and stands in the modules that
this one calls. The SDK's own connection polls the request body from a thread without pause, which takes a core for a
single stream; it never reports that a connection was cut, and waits for ever for one that failed too early. The SDK's
own parser fails on fields that it does not expect, and takes an answer that is cut within a message for a good one.
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
from streaming.engines.aws.http2 import CutOff
from streaming.engines.aws.messages import HeardResult, Unreadable, read_results, refusal
from streaming.engines.aws.network import connect

logger = logging.getLogger(__name__)

SERVICE = "transcribe"  # in signatures
PATH = "/stream-transcription"
# Options that the service has and the SDK's last release does not know.
NEWER_HEADERS = {"transcript_format": "x-amzn-transcribe-transcript-format"}
BODY_SECONDS, BODY_BYTES = 5.0, 64 * 1024  # of a refusal
# What the SDK's parsers raise for damaged messages.
GARBAGE = (ParserError, struct.error, ValueError, LookupError, TypeError, AttributeError, ProtocolError)


class Stream:
    """An open stream: audio in, results out."""

    def __init__(self, connection: Connection, audio: AudioStream) -> None:
        self._connection = connection
        self._audio = audio

    async def send(self, chunk: bytes, most_unsent_bytes: int, seconds: float) -> None:
        """Sign and send a chunk, after no more than so much is waiting. Raises `TimeoutError` after `seconds`."""
        await self._connection.room(most_unsent_bytes, seconds)
        await self._audio.send_audio_event(chunk)

    async def end(self) -> None:
        """Tell the service that there is no more audio; it then finishes its answer."""
        await self._audio.end_stream()

    @property
    def has_sent_end(self) -> bool:
        """Whether the end went out before the answer's end came: what waited until then is not sent any more."""
        return self._connection.has_sent_end

    async def was_stopped(self) -> bool:
        """Return whether the service reported, after the end of its answer, that it had stopped reading before ours."""
        return await self._connection.was_stopped()

    async def results(self) -> AsyncIterator[list[HeardResult]]:
        """Yield the results of each event of the answer, until it ends.

        Raises `ServiceError` for a failure that the service reports in between, `CutOff` and `Unreadable`.
        """
        events = read_results(self._connection.chunks())
        while True:
            try:
                results = await anext(events)
            except StopAsyncIteration:
                return
            except GARBAGE as error:
                raise Unreadable(str(error)) from error
            yield results


@asynccontextmanager
async def open_stream(account: Account, parameters: Mapping[str, Any]) -> AsyncIterator[Stream]:
    """Open a stream with these arguments of the SDK's `start_stream_transcription`; leave it at the end, however.

    Raises what the service answers (`ServiceError`) and `OSError`. The caller limits the time.
    """
    connection = Connection()
    try:
        transport = await connect(connection, account.endpoint, account.ca_file)
        if transport.get_extra_info("ssl_object").selected_alpn_protocol() != "h2":
            raise CutOff("it does not speak HTTP/2")
        credentials = Credentials(account.access_key_id, account.secret_access_key, account.session_token)
        try:
            # The SDK signs in a thread of its own and waits for it.
            request = await asyncio.to_thread(_signed_request, account, credentials, parameters)
            head = await connection.request(PATH, request.method, request.headers.as_list())
        except GARBAGE as error:
            raise Unreadable(str(error)) from error
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
    """Log the request's id, which AWS's support asks for, and raise `ServiceError` for all but the status 200."""
    request_id = head.headers.get("x-amzn-request-id") or head.headers.get("x-amzn-requestid") or "without an id"
    if head.status == 200:
        session_id = head.headers.get("x-amzn-transcribe-session-id", "without an id")
        logger.info("Amazon Transcribe accepted request %s, session %s", request_id, session_id)
        return
    error = refusal(head.status, head.headers, await _body(connection))
    logger.info("Amazon Transcribe refused request %s: %s %s", request_id, error.status, error.code)
    raise error


async def _body(connection: Connection) -> bytes:
    """Return the body of a refusal; of one that does not end well as much as came, since its headers may be enough."""
    received = bytearray()
    with suppress(CutOff, TimeoutError):
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in connection.chunks():
                received += chunk
                if len(received) > BODY_BYTES:
                    break
    return bytes(received)


def _audio_stream(
    account: Account, credentials: Credentials, request: PreparedRequest, connection: Connection
) -> AudioStream:
    """Return the SDK's stream of signed chunks. The service allows no other credentials within a stream."""
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
