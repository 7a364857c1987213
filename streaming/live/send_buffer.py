"""How little a socket may keep of what its client has not read: so that partials go out of date here, not there.

`transcribe_site/server/websocket.py` does it for our server, the consumers for any other that shows its transport.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any

MAX_UNSENT_BYTES = 512  # in the kernel, beside what is on its way; who reads quickly never has so much


def limit_send_buffer(connection: socket.socket) -> None:
    """Have the kernel take little that it can't send at once. Sockets that are not TCP stay as they are."""
    if hasattr(socket, "TCP_NOTSENT_LOWAT") and connection.family in (socket.AF_INET, socket.AF_INET6):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MAX_UNSENT_BYTES)


def transport_of(send: Callable[..., Any]) -> asyncio.WriteTransport | None:
    """Return the transport that an application's `send` writes to, where the server (uvicorn) shows it.

    From then on `send` waits until the kernel has taken what was sent before, not until it has left less than 64 KB.
    """
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if not isinstance(transport, asyncio.WriteTransport):
        return None
    transport.set_write_buffer_limits(high=0)
    if connection := transport.get_extra_info("socket"):
        limit_send_buffer(connection)
    return transport


def abort(transport: asyncio.WriteTransport) -> None:
    """End a connection at once. Without more ado the kernel would go on offering what the client does not read."""
    if connection := transport.get_extra_info("socket"):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
