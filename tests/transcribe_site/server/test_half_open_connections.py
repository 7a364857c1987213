"""The server and Django's handler without a site: connections that are closing, half sent, or already removed."""

import asyncio
import threading
from io import BytesIO
from typing import Any

import pytest
from asgiref.sync import SyncToAsync
from asgiref.testing import ApplicationCommunicator
from django.http import HttpRequest, HttpResponse

from transcribe_site.server.asgi_handler import DETACH_BODY, Handler
from transcribe_site.server.daphne import Server, Socket


@pytest.fixture
def server() -> Server:
    """Return a server that listens on no port and has no connections."""

    async def stop() -> None: ...

    async def application(*_: object) -> None: ...

    ours = {"max_body_bytes": 1, "max_connections": 10, "on_listening": lambda host, port: None, "on_stop": stop}
    server = Server(application, endpoints=["tcp:port=0"], **ours)
    server.connections = {}
    return server


async def test_drops_data_for_a_connection_that_daphne_has_removed(server: Server) -> None:
    forgotten = Socket()
    await server.handle_reply(forgotten, {"type": "websocket.send", "text": "late"})
    assert forgotten not in server.connections


async def test_drops_data_for_a_closing_socket(server: Server) -> None:
    closing = Socket()
    closing.state = Socket.STATE_CLOSING
    server.connections = {closing: {}}
    await server.handle_reply(closing, {"type": "websocket.send", "text": "late"})


async def test_a_stopping_server_waits_for_applications_although_a_request_has_none(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transcribe_site.server.daphne.END_SECONDS", 60.0)
    ended = 0

    async def application() -> None:
        nonlocal ended
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)  # simulates clean-up after the cancellation
            ended += 1

    applications = [asyncio.create_task(application()) for _ in range(3)]
    await asyncio.sleep(0)  # let the tasks start
    first, second, third = ({"application_instance": task} for task in applications)
    server.connections = {"first": first, "half sent": {}, "second": second, "third": third}
    await server.kill_all_applications().asFuture(asyncio.get_running_loop())
    assert ended == 3


async def test_a_stopping_server_without_applications_does_not_wait(server: Server) -> None:
    server.connections = {"half sent": {}}
    await server.kill_all_applications().asFuture(asyncio.get_running_loop())


async def test_a_request_switches_threads_a_few_times_not_once_per_middleware(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exchanges = 0
    exchange = SyncToAsync.__call__

    async def counted(self: SyncToAsync, *args: object, **kwargs: object) -> object:  # type: ignore[type-arg]
        nonlocal exchanges
        exchanges += 1
        return await exchange(self, *args, **kwargs)

    monkeypatch.setattr(SyncToAsync, "__call__", counted)
    page = {"type": "http", "method": "GET", "path": "/accounts/login/", "query_string": b""}
    asking = ApplicationCommunicator(Handler(), page | {"headers": [(b"host", b"localhost")]})
    await asking.send_input({"type": "http.request", "body": b""})
    assert (await asking.receive_output(timeout=60))["status"] == 200
    await asking.receive_output(timeout=60)
    await asking.wait(timeout=60)
    assert exchanges <= 3, "the signal of its begin, the request itself, the end of its response"


async def test_a_burst_of_anonymous_pages_is_rendered_two_at_a_time_and_delays_no_other_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handler, active, most = Handler(), 0, 0
    are_released, lock = threading.Event(), threading.Lock()

    def held(request: HttpRequest) -> HttpResponse:
        nonlocal active, most
        if request.path == "/accounts/login/" and "sessionid" not in request.COOKIES:
            with lock:
                active += 1
                most = max(most, active)
            assert are_released.wait(60)
            with lock:
                active -= 1
        return HttpResponse()

    monkeypatch.setattr(handler, "_respond_and_release", held)

    async def get(path: str, *headers: tuple[bytes, bytes]) -> int:
        page = {"type": "http", "method": "GET", "path": path, "query_string": b""}
        asking = ApplicationCommunicator(handler, page | {"headers": [(b"host", b"localhost"), *headers]})
        await asking.send_input({"type": "http.request", "body": b""})
        status: int = (await asking.receive_output(timeout=60))["status"]
        await asking.wait(timeout=60)
        return status

    burst = [asyncio.create_task(get("/accounts/login/")) for _ in range(10)]
    try:
        while active < 2:
            await asyncio.sleep(0.01)
        assert await get("/healthz") == 200
        assert await get("/accounts/login/", (b"cookie", b"sessionid=none")) == 200
    finally:
        are_released.set()
    assert await asyncio.gather(*burst) == [200] * 10
    assert most == 2


async def test_a_client_that_disconnects_before_its_request_begins_gets_no_answer() -> None:
    body = BytesIO(b"a form")
    body.close()  # Twisted closes the body when the connection ends
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError  # no message ever arrives

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/healthz", "query_string": b"", "headers": []}
    await Handler()({**scope, DETACH_BODY: lambda: body}, receive, send)
    assert sent == []
