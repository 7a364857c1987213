"""The server without a site: what it does with connections that are only half there."""

import asyncio

import pytest

from transcribe_site.server import Server, Socket


@pytest.fixture
def server() -> Server:
    """A server that listens nowhere, and has no connections."""

    async def stop() -> None: ...

    async def application(*_: object) -> None: ...

    ours = {"max_body_bytes": 1, "max_connections": 10, "on_listening": lambda host, port: None, "on_stop": stop}
    server = Server(application, endpoints=["tcp:port=0"], **ours)
    server.connections = {}
    return server


async def test_what_is_sent_on_a_connection_that_was_forgotten_is_dropped(server: Server) -> None:
    forgotten = Socket()
    await server.handle_reply(forgotten, {"type": "websocket.send", "text": "late"})
    assert forgotten not in server.connections


async def test_what_is_sent_on_a_socket_that_is_closing_is_dropped(server: Server) -> None:
    closing = Socket()
    closing.state = Socket.STATE_CLOSING
    server.connections = {closing: {}}
    await server.handle_reply(closing, {"type": "websocket.send", "text": "late"})


async def test_a_server_that_ends_waits_for_all_applications_also_where_a_request_has_none(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transcribe_site.server.END_SECONDS", 60.0)
    ended = 0

    async def application() -> None:
        nonlocal ended
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)  # it has something to put away
            ended += 1

    applications = [asyncio.create_task(application()) for _ in range(3)]
    await asyncio.sleep(0)  # they begin
    first, second, third = ({"application_instance": task} for task in applications)
    server.connections = {"first": first, "half sent": {}, "second": second, "third": third}
    await server.kill_all_applications().asFuture(asyncio.get_running_loop())
    assert ended == 3


async def test_a_server_that_ends_does_not_wait_where_there_is_no_application(server: Server) -> None:
    server.connections = {"half sent": {}}
    await server.kill_all_applications().asFuture(asyncio.get_running_loop())
