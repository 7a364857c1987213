"""daphne with request-size limits and write back-pressure. `manage.py serve` runs this.

Unmodified, daphne accepts a body of any length. Twisted then parses a form although nothing uses the result, and daphne
puts the whole body on the application's queue. A body of 100 MB blocks the event loop for seconds and takes 1.2 GB.
daphne also buffers everything that an application sends to a slow client.
This server refuses a body that breaks the rules of `bodies.py` before storing it (`http.py`), passes other bodies to
Django as files, and makes a sending application wait for its client.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import daphne.server
from twisted.internet import defer
from twisted.internet import reactor as installed_reactor

from streaming.live.auth import SIGNED_IN
from transcribe_site.server.asgi_handler import DETACH_BODY
from transcribe_site.server.backpressure import Flow
from transcribe_site.server.connections import Connections
from transcribe_site.server.http import Request, RequestFactory
from transcribe_site.server.websocket import Receive, Socket, SocketFactory

logger = logging.getLogger(__name__)
reactor: Any = installed_reactor  # Twisted's types know only one of its interfaces at a time

Scope = dict[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

ARRIVE_SECONDS = 0.5  # for requests on connections accepted just before the shutdown
FINISH_SECONDS = 4.0  # for requests in progress; a proxy sends new ones to another process
END_SECONDS = 5.0  # for applications that were cancelled after that
RESTARTING = 1012
READER = "transcribe_site.reader"  # a scope's key: a function that wraps daphne's `receive`


def with_back_pressure(application: Application) -> Application:
    """Return an application that receives the messages of sockets through `Socket.reader`."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        read = scope.pop(READER, None)
        await application(scope, receive if read is None else read(receive), send)

    return call


class Server(daphne.server.Server):
    """`max_body_bytes` is the longest body of any request, `max_connections` the maximum of open connections.

    Calls `on_listening(host, port)` for each address, and awaits `on_stop()` during the shutdown.
    """

    def __init__(
        self,
        application: Application,
        *,
        max_body_bytes: int,
        max_connections: int,
        on_listening: Callable[[str, int], None],
        on_stop: Callable[[], Awaitable[None]],
        **options: Any,
    ) -> None:
        super().__init__(with_back_pressure(application), **options)
        self.max_body_bytes = max_body_bytes
        self.limits = Connections(max_connections)
        self._on_listening = on_listening
        self._on_stop = on_stop
        self.failure = ""  # why the server could not listen
        self._ports: list[Any] = []
        self._is_ending = False

    def run(self) -> None:
        # daphne has no parameter for its factories.
        daphne.server.HTTPFactory = RequestFactory
        daphne.server.WebSocketFactory = SocketFactory
        reactor.addSystemEventTrigger("before", "shutdown", self._stop)
        super().run()

    def listen_error(self, failure: Any) -> None:
        self.failure = failure.getErrorMessage().rstrip(".")
        self.stop()

    def listen_success(self, port: Any) -> None:
        super().listen_success(port)
        self._ports.append(port)
        self._on_listening(port.getHost().host, port.getHost().port)

    def create_application(self, protocol: Any, scope: Scope) -> Any:
        if isinstance(protocol, Request):
            scope[DETACH_BODY] = protocol.content.detach
            if not any(name == b"content-length" for name, _ in scope["headers"]):
                # Django needs the length. That of a chunked body is known now, after its end.
                scope["headers"].append((b"content-length", b"%d" % protocol.body_bytes))
        if isinstance(protocol, Socket):
            scope[READER] = protocol.reader
        elif self._is_ending:
            protocol.setHeader(b"Connection", b"close")  # the client must open a new connection, to another process
            protocol.channel.persistent = False
        seat = getattr(protocol.transport, "seat", None)
        if seat is not None:
            sign_in = partial(self.limits.sign_in, seat)
            # Middleware calls it in the thread of the request.
            scope[SIGNED_IN] = partial(asyncio.get_running_loop().call_soon_threadsafe, sign_in)
        return super().create_application(protocol, scope)

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        if isinstance(protocol, Socket) and "text" in message and protocol.state != Socket.STATE_CONNECTING:
            if protocol.is_connected:  # autobahn raises on a closing socket
                await protocol.send_text(message["text"])
            return
        await super().handle_reply(protocol, message)
        is_more = message.get("more_body")
        # daphne may have removed an ended connection while its application was still sending.
        connection = self.connections.get(protocol, {"disconnected": True})
        if is_more and isinstance(protocol, Flow) and "disconnected" not in connection:
            await protocol.drained()

    def _stop(self) -> defer.Deferred:
        """Refuse new connections, close sockets with 1012, then release running jobs. Requests in progress continue."""
        self._is_ending = True
        for port in self._ports:
            port.doRead()  # accept the pending connections, which closing the port would reset
            port.stopListening()
        for protocol in self.connections:
            if isinstance(protocol, Socket) and protocol.is_connected:
                protocol.serverClose(RESTARTING)
        return defer.Deferred.fromFuture(asyncio.ensure_future(self._on_stop()))

    def kill_all_applications(self) -> defer.Deferred:
        """Wait for requests to finish, then cancel the other applications. daphne calls this after `_stop`.

        daphne's own method cancels at once, and fails for a request that has no application yet.
        """
        return defer.Deferred.fromFuture(asyncio.ensure_future(self._end_applications()))

    async def _end_applications(self) -> None:
        await asyncio.sleep(ARRIVE_SECONDS)
        deadline = asyncio.get_running_loop().time() + FINISH_SECONDS - ARRIVE_SECONDS
        while self._has_requests() and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.05)
        instances = [details.get("application_instance") for details in self.connections.values()]
        running = [instance for instance in instances if instance is not None and not instance.done()]
        for instance in running:
            instance.cancel()
        if running:
            await asyncio.wait(running, timeout=END_SECONDS)

    def _has_requests(self) -> bool:
        """Return whether an HTTP request is being received or answered."""
        return any(
            isinstance(protocol, Request) and "disconnected" not in details
            for protocol, details in self.connections.items()
        )
