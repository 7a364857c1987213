"""The server of the stand-in for Amazon Transcribe streaming, with its certificate, keys and request records.

It implements the service's protocol and enforces its rules, so that the SDK and our engine can be tested, benchmarked
and demonstrated without AWS.
"""

import asyncio
import json
import socket
import ssl
import tempfile
import uuid
from collections.abc import Callable, Coroutine
from email.utils import formatdate
from pathlib import Path
from types import TracebackType

import trustme

from tests.standin.clock import Clock
from tests.standin.connection import Connection, RequestStream
from tests.standin.faults import Fault
from tests.standin.recognition import Deliver, NumberRecognition, Recognition, Segment
from tests.standin.record import Record
from tests.standin.requests import PREFIX, Request, ServiceError, parse
from tests.standin.results import USUAL, Habits
from tests.standin.signatures import Chain, Key, verify
from tests.standin.stream import Stream

HOST = "localhost"
REGION = "eu-west-1"
PATH = "/stream-transcription"
# The keys of AWS's documentation; they belong to no account.
KEY_ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
BACKLOG = 256
HANDSHAKE_SECONDS = 30.0

Recogniser = Callable[[Request, Deliver], Recognition]


class Refused:
    """The stream of a refused request. It ignores all further data."""

    # The service does not ask the client to stop sending; the client ends its body itself.
    stops_client = False

    def receive(self, data: bytes) -> None:
        pass

    def client_ended(self) -> None:
        pass

    def client_left(self) -> None:
        pass

    def client_goes_away(self) -> None:
        pass


class Service:
    """An async context manager that serves on this machine while it is open.

    `rate` is how many times faster than real time its clock runs, and `quota` how many streams may be open at once.
    It recognises encoded numbers, or uses `recogniser`. `words_per_final` is the length of segments; with a `seed` each
    stream is split differently. Without `verify` it checks no signature. `on_segment` is called with each segment that
    is sent. `habits` vary the form of results.

    With `goaway_at` every connection receives a graceful GOAWAY after so many seconds of audio, or, with infinity,
    before the last final. `error_type` is the form of `x-amzn-errortype`, as in `{name}:` or
    `com.amazon.coral.service#{name}:http://internal.amazon.com/coral/`; where it is empty, the body contains the name.
    """

    def __init__(
        self,
        rate: float = 20.0,
        quota: int = 25,
        words_per_final: int = 4,
        recogniser: Recogniser | None = None,
        seed: int = 0,
        verify: bool = True,
        port: int = 0,
        on_segment: Deliver | None = None,
        habits: Habits = USUAL,
        goaway_at: float | None = None,
        error_type: str = "{name}:",
    ) -> None:
        self.rate = rate
        self.quota = quota
        self.keys = {KEY_ID: Key(SECRET)}
        self.faults: list[Fault | None] = []
        self.requests: list[Record] = []
        self.most_streams = 0
        self.on_segment = on_segment
        self.url = self.ca_file = ""
        self._habits = habits
        self._goaway_at = goaway_at
        self._error_type = error_type
        self._words_per_final = words_per_final
        self._recogniser = recogniser
        self._seed = seed
        self._verify = verify
        self._port = port
        self._open: set[Stream] = set()
        self._sessions: set[str] = set()
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sockets: list[socket.socket] = []  # listening sockets, and connections whose handshake never comes

    @property
    def streams(self) -> int:
        return len(self._open)

    @property
    def billed_seconds(self) -> int:
        return sum(record.billed_seconds for record in self.requests)

    @property
    def environ(self) -> dict[str, str]:
        """The environment variables with which a client connects to this service."""
        key_id, key = next(iter(self.keys.items()))
        token = {"AWS_SESSION_TOKEN": key.session_token} if key.session_token else {}
        return token | {
            "AWS_ENDPOINT_URL_TRANSCRIBE_STREAMING": self.url,
            "AWS_CA_BUNDLE": self.ca_file,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": key_id,
            "AWS_SECRET_ACCESS_KEY": key.secret,
        }

    async def __aenter__(self) -> "Service":
        self._clock = Clock(self.rate)
        self._folder = tempfile.TemporaryDirectory(prefix="standin-")
        authority = trustme.CA()
        self.ca_file = str(Path(self._folder.name) / "ca.pem")
        authority.cert_pem.write_to_path(self.ca_file)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.set_alpn_protocols(["h2"])
        authority.issue_cert(HOST, "127.0.0.1", "::1").configure_cert(self._context)
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            self._listen(family, address)
        self.url = f"https://{HOST}:{self._port}"
        return self

    def _listen(self, family: int, address: str) -> None:
        try:
            listener = socket.create_server((address, self._port), family=family, backlog=BACKLOG)
        except OSError:
            if family == socket.AF_INET6:  # the machine may lack IPv6, or another program may use the port there
                return
            raise
        listener.setblocking(False)
        self._port = listener.getsockname()[1]
        self._sockets.append(listener)
        self._start(self._accept(listener))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in list(self._connections):
            connection.abort()
        while self._connections:  # asyncio calls `connection_lost` of each soon
            await asyncio.sleep(0.001)
        for each in self._sockets:
            each.close()
        self._folder.cleanup()

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            accepted, _ = await loop.sock_accept(listener)
            # asyncio sets it only for sockets that it created. Without it, small answers are delayed by 40 ms.
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            fault = self.faults[0] if self.faults else None
            if fault is not None and fault.name == "hang_connect":
                self.faults.pop(0)
                self._sockets.append(accepted)
            else:
                self._start(self._serve(accepted))

    async def _serve(self, accepted: socket.socket) -> None:
        connection = Connection(self._open_stream, self._connections.discard)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection, accepted, ssl=self._context, ssl_handshake_timeout=HANDSHAKE_SECONDS
            )
        except OSError:  # also TLS errors: the client rejects the certificate or has disconnected
            accepted.close()
            return
        if connection.is_open:
            self._connections.add(connection)

    def _open_stream(self, connection: Connection, stream_id: int, headers: list[tuple[str, str]]) -> RequestStream:
        """Accept or refuse a request, and send the response headers."""
        fault = self.faults.pop(0) if self.faults else None
        if fault is None and self._goaway_at is not None:
            fault = Fault("drain", at=self._goaway_at)
        fields = dict(headers)
        fields.setdefault("host", fields.get(":authority", ""))
        record = Record(fields, self._clock.loop_time(), connection.number)
        self.requests.append(record)
        try:
            chain = self._admit(fields, record, fault)
        except ServiceError as error:
            record.end, record.exception, record.ended_at = "refused", error.name, record.started_at
            self._refuse(connection, stream_id, error)
            return Refused()
        stream = Stream(connection, stream_id, record, chain, self._clock, fault, self._habits, self._open.discard)
        self._open.add(stream)
        self.most_streams = max(self.most_streams, len(self._open))
        assert record.options is not None

        def deliver(segment: Segment) -> None:
            if self.on_segment is not None:
                self.on_segment(segment)
            stream.deliver(segment)

        stream.begin(self._response(fields, record), self._recognition(record.options, deliver, record))
        return stream

    def _admit(self, fields: dict[str, str], record: Record, fault: Fault | None) -> Chain | None:
        """Check a request as far as possible before its audio. Raises ServiceError."""
        if fault is not None and fault.name == "refuse":
            raise ServiceError(fault.exception, fault.message)
        if (fields[":method"], fields[":path"].partition("?")[0]) != ("POST", PATH):
            raise ServiceError("UnknownOperationException", "There is no such operation.")
        chain = None
        if self._verify:
            chain = verify(fields[":method"], fields[":path"], fields, self.keys, REGION, self._clock)
        options = parse(fields)
        record.session_id = options.session_id or str(uuid.uuid4())
        if record.session_id in self._sessions:
            raise ServiceError("ConflictException", "Another stream is in progress with the same session ID")
        if len(self._open) >= self.quota:
            raise ServiceError(
                "LimitExceededException", "You have reached your limit of concurrent streams. Try again later."
            )
        self._sessions.add(record.session_id)
        record.options = options
        return chain

    def _recognition(self, request: Request, deliver: Deliver, record: Record) -> Recognition:
        if self._recogniser is not None:
            return self._recogniser(request, deliver)
        seed = f"{self._seed}-{len(self.requests)}" if self._seed else ""
        return NumberRecognition(request, deliver, record.numbers, self._words_per_final, seed)

    @staticmethod
    def _response(fields: dict[str, str], record: Record) -> list[tuple[str, str]]:
        echoed = [(name, value) for name, value in fields.items() if name.startswith(PREFIX)]
        return [
            (":status", "200"),
            ("content-type", "application/vnd.amazon.eventstream"),
            ("date", formatdate(usegmt=True)),
            ("x-amzn-request-id", str(uuid.uuid4())),
            (f"{PREFIX}session-id", record.session_id),
            *(pair for pair in echoed if pair[0] != f"{PREFIX}session-id"),
        ]

    def _refuse(self, connection: Connection, stream_id: int, error: ServiceError) -> None:
        names = self._error_type.format(name=error.name)
        body = json.dumps({"Message": error.message} | ({} if names else {"__type": error.name})).encode()
        connection.respond(
            stream_id,
            [
                (":status", str(error.status)),
                ("content-type", "application/json"),
                ("content-length", str(len(body))),
                # AWS's clients correct a wrong clock by this header.
                ("date", formatdate(usegmt=True)),
                ("x-amzn-request-id", str(uuid.uuid4())),
                *([("x-amzn-errortype", names)] if names else []),
            ],
        )
        connection.send(stream_id, body, is_end=True)
