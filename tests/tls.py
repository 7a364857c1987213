"""Runs a TLS proxy for tests, as sites have in front of them: it decrypts and forwards plain HTTP."""

import asyncio
import ssl
import threading
from contextlib import suppress
from types import TracebackType

import trustme


class TLSProxy:
    """Listens on localhost with a certificate of its own authority, which the SSL context `context` trusts.

    `to` is the address (host, port) that it forwards to; tests may set it later.
    """

    def __init__(self) -> None:
        authority = trustme.CA()
        self._server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(self._server_context)
        self.context = ssl.create_default_context()
        authority.configure_trust(self.context)
        self.to = ("", 0)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> "TLSProxy":
        self._thread.start()
        starting = asyncio.start_server(self._pass_on, "localhost", 0, ssl=self._server_context, ssl_shutdown_timeout=1)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(timeout=60)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"https://localhost:{port}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(timeout=60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        passing = asyncio.all_tasks() - {asyncio.current_task()}
        for task in passing:
            task.cancel()
        await asyncio.wait(passing) if passing else None

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        with suppress(OSError, asyncio.CancelledError):  # one end closed the connection, or the test is over
            try:
                back, on = await asyncio.open_connection(*self.to)
                writers.append(on)
                await asyncio.wait(
                    {asyncio.create_task(copy(reader, on)), asyncio.create_task(copy(back, writer))},
                    return_when=asyncio.FIRST_COMPLETED,
                )
            finally:
                for each in writers:
                    each.close()  # sends buffered data first
                    with suppress(OSError):
                        await each.wait_closed()


async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):  # one end closed the connection
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
