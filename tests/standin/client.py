"""A client that uses h2 directly, for requests that the SDK can't make. It signs with the SDK's signers.

Tests use it to send invalid signatures and chunks, and benchmarks to open many streams cheaply.
"""

import asyncio
import json
import ssl
from typing import Any
from urllib.parse import urlsplit

from amazon_transcribe.auth import Credentials
from amazon_transcribe.eventstream import EventSigner, EventStreamMessageSerializer
from amazon_transcribe.request import Request
from amazon_transcribe.signer import SigV4RequestSigner
from h2 import events as h2_events
from h2.config import H2Configuration
from h2.errors import ErrorCodes

from tests.standin.http2 import Http2, graceful_goaway
from tests.standin.messages import Decoder, Message
from tests.standin.requests import PREFIX

AUDIO_HEADERS: dict[str, Any] = {
    ":message-type": "event",
    ":event-type": "AudioEvent",
    ":content-type": "application/octet-stream",
}


def options(**values: Any) -> dict[str, str]:
    """Return the headers of a plain request, changed by `values`; None removes a header."""
    plain = {"language_code": "en-US", "sample_rate": 16_000, "media_encoding": "pcm"} | values
    return {PREFIX + name.replace("_", "-"): str(value) for name, value in plain.items() if value is not None}


class RawClient(asyncio.Protocol):
    """One connection with one request. The answer is in `status`, `headers`, `body` and `end`.

    `end` is the first of `end_stream`, `reset <code>`, `goaway` and `lost`.
    """

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.end = ""
        self.pings = 0
        self.is_lost = False
        self.goaways: list[int] = []  # the last stream ids of graceful GOAWAYs
        self.has_changed = asyncio.Event()
        self.signer = EventSigner("transcribe", "eu-west-1")
        self.stream_id = 1
        self.prior = b""
        self._serializer = EventStreamMessageSerializer()
        self._decoder = Decoder(1 << 20)
        self._messages: list[Message] = []
        self._unsent = bytearray()
        self._is_ending = False
        self._h2 = Http2(H2Configuration(client_side=True, header_encoding="utf-8"))

    @classmethod
    async def connect(cls, environ: dict[str, str]) -> "RawClient":
        context = ssl.create_default_context(cafile=environ["AWS_CA_BUNDLE"])
        context.set_alpn_protocols(["h2"])
        address = urlsplit(environ["AWS_ENDPOINT_URL_TRANSCRIBE_STREAMING"])
        assert address.hostname and address.port
        _, client = await asyncio.get_running_loop().create_connection(cls, address.hostname, address.port, ssl=context)
        client.region = environ["AWS_REGION"]
        client.credentials = Credentials(
            environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"], environ.get("AWS_SESSION_TOKEN")
        )
        return client

    region = ""
    credentials: Credentials

    def request(self, headers: dict[str, str]) -> dict[str, str]:
        """Return `headers` and the headers of the signature."""
        unsigned = Request("https://localhost", "/stream-transcription", "POST", {"host": "localhost", **headers})
        signed = SigV4RequestSigner("transcribe", self.region).sign(unsigned.prepare(), self.credentials)
        return {name.lower(): value for name, value in signed.headers.as_list()}

    def start(self, headers: dict[str, str], path: str = "/stream-transcription") -> None:
        """Send a request with these headers, signed or not."""
        sent = dict(headers)
        authority = sent.pop("host", "localhost")
        _, found, signature = sent.get("authorization", "").rpartition("Signature=")
        self.prior = bytes.fromhex(signature) if found else b""
        pseudo = [(":method", "POST"), (":scheme", "https"), (":authority", authority)]
        self._h2.send_headers(self.stream_id, [*pseudo, (":path", path), *sent.items()])
        self._flush()

    async def begin(self, **values: Any) -> "RawClient":
        """Start a plain request, changed by `values`, and wait for the answer's headers."""
        self.start(self.request(options(**values)))
        await self.until(lambda: self.status or self.end)
        return self

    def send_audio(self, pcm: bytes) -> None:
        self.send_message(self._serializer.serialize(AUDIO_HEADERS, pcm))

    def send_message(self, message: bytes) -> None:
        """Sign and send a chunk of audio."""
        headers = self.signer.sign(message, self.prior, self.credentials)
        signature = headers[":chunk-signature"]
        assert isinstance(signature, bytes)
        self.prior = signature
        self.send(self._serializer.serialize(headers, message))

    def send(self, data: bytes, *, is_end: bool = False) -> None:
        self._unsent += data
        self._is_ending = self._is_ending or is_end
        self._send_what_fits()

    def end_audio(self) -> None:
        self.send_message(b"")
        self.send(b"", is_end=True)

    def ping(self) -> None:
        self._h2.ping(b"standin!")
        self._flush()

    def go_away(self) -> None:
        """Send a graceful GOAWAY, as AWS's SDK for JavaScript does once the answer has begun."""
        self._flush()
        self._transport.write(graceful_goaway(0))

    def leave(self) -> None:
        self._h2.reset_stream(self.stream_id)
        self._flush()

    def close(self) -> None:
        self._transport.abort()

    async def until(self, is_so: Any, seconds: float = 60.0) -> None:
        async with asyncio.timeout(seconds):
            while not is_so():
                self.has_changed.clear()
                await self.has_changed.wait()

    @property
    def messages(self) -> list[Message]:
        """The messages received so far. Raises DamagedError."""
        self._messages += self._decoder.feed(self.body)
        self.body = b""
        return self._messages

    @property
    def results(self) -> list[dict[str, Any]]:
        """The results received so far."""
        events = [message for message in self.messages if message.headers.get(":event-type") == "TranscriptEvent"]
        return [result for event in events for result in json.loads(event.payload)["Transcript"]["Results"]]

    @property
    def exception(self) -> tuple[str, str] | None:
        """The name and the message of the exception received mid-stream, or None."""
        for message in self.messages:
            if message.headers[":message-type"] == "exception":
                return str(message.headers[":exception-type"]), json.loads(message.payload)["Message"]
        return None

    # Called by asyncio.

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._h2.initiate_connection()
        self._flush()

    def data_received(self, data: bytes) -> None:
        for event in self._h2.receive_data(data):
            if isinstance(event, h2_events.ResponseReceived):
                self.headers = {str(name): str(value) for name, value in event.headers or ()}
                self.status = int(self.headers[":status"])
            elif isinstance(event, h2_events.DataReceived):
                self.body += event.data or b""
                self._h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
            elif isinstance(event, h2_events.StreamEnded):
                self._end("end_stream")
            elif isinstance(event, h2_events.StreamReset):
                self._end(f"reset {int(event.error_code or 0)}")
            elif isinstance(event, h2_events.ConnectionTerminated):
                if event.error_code == ErrorCodes.NO_ERROR:
                    self.goaways.append(event.last_stream_id or 0)
                else:
                    self._end("goaway")
            elif isinstance(event, h2_events.PingAckReceived):
                self.pings += 1
            elif isinstance(event, h2_events.WindowUpdated) and not self.end:
                self._send_what_fits()
        self._flush()
        self.has_changed.set()

    def connection_lost(self, error: Exception | None) -> None:
        self._end("lost")
        self.is_lost = True
        self.has_changed.set()

    def _end(self, how: str) -> None:
        self.end = self.end or how

    def _send_what_fits(self) -> None:
        while self._unsent:
            window = self._h2.local_flow_control_window(self.stream_id)
            size = min(window, self._h2.max_outbound_frame_size, len(self._unsent))
            if size <= 0:
                break
            self._h2.send_data(self.stream_id, bytes(self._unsent[:size]))
            del self._unsent[:size]
        if self._is_ending and not self._unsent:
            self._is_ending = False
            self._h2.end_stream(self.stream_id)
        self._flush()

    def _flush(self) -> None:
        if data := self._h2.data_to_send():
            self._transport.write(data)
