"""Limit the kernel's send buffer of a socket, so that stale partials can be dropped before they are sent.

Data in that buffer can no longer be replaced by newer data. `transcribe_site/server/websocket.py` calls this for
daphne; the consumers call it for other servers that expose their transport, such as uvicorn.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any

MAX_UNSENT_BYTES = 512  # in the kernel, beside the data in flight; a client that reads quickly never reaches this limit


def limit_send_buffer(connection: socket.socket) -> None:
    """Have the kernel accept little data that it can't send at once. Leaves sockets that are not TCP unchanged."""
    if hasattr(socket, "TCP_NOTSENT_LOWAT") and connection.family in (socket.AF_INET, socket.AF_INET6):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MAX_UNSENT_BYTES)


def transport_of(send: Callable[..., Any]) -> asyncio.WriteTransport | None:
    """Return the transport that an application's `send` writes to; None if the server does not expose it.

    Side effect: `send` then waits until the kernel has accepted all earlier data. By default it waits only while
    more than 64 KB are buffered in the process.
    """
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if not isinstance(transport, asyncio.WriteTransport):
        return None
    transport.set_write_buffer_limits(high=0)
    if connection := transport.get_extra_info("socket"):
        limit_send_buffer(connection)
    return transport


def abort(transport: asyncio.WriteTransport) -> None:
    """Close a connection at once and discard its unsent data."""
    # SO_LINGER 0: otherwise the kernel keeps retransmitting to a client that does not read.
    if connection := transport.get_extra_info("socket"):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
