"""Connects to Amazon Transcribe over TLS, through a proxy if the environment names one. `transport.py` calls it."""

import asyncio
import base64
import ssl
from functools import lru_cache
from urllib.parse import SplitResult, unquote, urlsplit

from streaming.engines.base import EngineError

# A host may have several addresses. If one does not answer in this time, asyncio tries the next (RFC 8305).
NEXT_ADDRESS_SECONDS = 0.25
CLOSE_SECONDS = 2.0  # how long to wait for the peer's TLS closing message
LONGEST_HEAD_BYTES = 16 * 1024  # limits the memory for a proxy's response header
PORTS = {"http": 80, "https": 443}


@lru_cache(maxsize=4)
def tls_context(ca_file: str, *, speaks_http2: bool = True) -> ssl.SSLContext:
    """Return a context that trusts the CAs of the system, or of `ca_file`. Raises `EngineError` if it can't be read."""
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        raise EngineError(
            f"AWS_CA_BUNDLE={ca_file!r} can't be read: {error.strerror}. Check the path.", permanent=True
        ) from error
    if speaks_http2:
        context.set_alpn_protocols(["h2"])
    return context


async def connect(protocol: asyncio.Protocol, endpoint: str, ca_file: str) -> asyncio.Transport:
    """Connect `protocol` to `endpoint` over TLS, through the proxy that HTTPS_PROXY and NO_PROXY select.

    Raises `OSError` if the connection fails, and `EngineError` for errors of the proxy or of the configuration.
    """
    address = urlsplit(endpoint)
    context = await asyncio.to_thread(tls_context, ca_file)
    if proxy := _proxy_of(endpoint):
        return await _connect_through_proxy(proxy, address, context, ca_file, protocol)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(
        lambda: protocol,
        address.hostname or "",
        address.port or 443,
        ssl=context,
        ssl_shutdown_timeout=CLOSE_SECONDS,
        happy_eyeballs_delay=NEXT_ADDRESS_SECONDS,
    )
    return transport


def _proxy_of(endpoint: str) -> str:
    """Return the address of the proxy for an endpoint, or "" for none. The choice follows boto3's rules."""
    from botocore.utils import get_environ_proxies  # imported late: it is large, and needed only to open a stream

    proxy: str = get_environ_proxies(endpoint).get("https", "")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


class _Tunnel(asyncio.Protocol):
    """Collects a proxy's response header. `_connect_through_proxy` then gives the connection another protocol."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.head: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, _ = bytes(self.received).partition(b"\r\n\r\n")
        if not self.head.done() and (end or len(head) > LONGEST_HEAD_BYTES):
            self.received.clear()  # a proxy sends nothing more before TLS begins
            self.head.set_result(head)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.head.done():
            self.head.set_exception(error or ConnectionResetError("the proxy closed the connection"))
            self.head.exception()  # retrieve it: a cancelled caller never does, and asyncio would log that


async def _connect_through_proxy(
    proxy: str, address: SplitResult, context: ssl.SSLContext, ca_file: str, protocol: asyncio.Protocol
) -> asyncio.Transport:
    """Connect through a proxy: CONNECT (RFC 9110, section 9.3.6), then TLS with the service inside the tunnel."""
    parts = urlsplit(proxy)
    name = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"  # without the password
    try:
        default = PORTS[parts.scheme]
        host, port = parts.hostname, parts.port or default
    except (KeyError, ValueError):  # an unsupported scheme, or an invalid port
        host, port = None, 0
    if not host:
        advice = "Set HTTPS_PROXY to an address such as http://host:port."
        raise EngineError(f"The proxy {name} can't be used. {advice}", permanent=True)
    loop = asyncio.get_running_loop()
    try:
        transport, tunnel = await loop.create_connection(
            _Tunnel,
            host,
            port,
            ssl=tls_context(ca_file, speaks_http2=False) if parts.scheme == "https" else None,
            happy_eyeballs_delay=NEXT_ADDRESS_SECONDS,
        )
    except OSError as error:
        raise EngineError(f"The proxy {name} can't be reached: {error}. Check HTTPS_PROXY.", permanent=False) from error
    try:
        transport.write(_request_for(parts, address))
        try:
            _check(await tunnel.head, name)
        except OSError as error:
            raise EngineError(f"The proxy {name} did not answer: {error}. Try again later.", permanent=False) from error
        secured = await loop.start_tls(
            transport, tunnel, context, server_hostname=address.hostname, ssl_shutdown_timeout=CLOSE_SECONDS
        )
        if secured is None or secured.is_closing():
            raise ConnectionResetError("the proxy closed the connection during the TLS handshake")
    except BaseException:
        transport.abort()  # also on cancellation: otherwise the connection would stay open
        raise
    # The service may have sent its first frames before this task ran again: pass them to the new protocol.
    secured.set_protocol(protocol)
    protocol.connection_made(secured)
    if tunnel.received:
        protocol.data_received(bytes(tunnel.received))
    return secured


def _request_for(proxy: SplitResult, address: SplitResult) -> bytes:
    host = f"[{address.hostname}]" if ":" in (address.hostname or "") else address.hostname
    lines = [f"CONNECT {host}:{address.port or 443} HTTP/1.1", f"Host: {host}:{address.port or 443}"]
    if proxy.username:
        pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}")
    return "\r\n".join([*lines, "", ""]).encode()


def _check(head: bytes, name: str) -> None:
    """Raise `EngineError` unless the proxy opened the tunnel."""
    version, _, rest = head.split(b"\r\n")[0].decode("latin-1").partition(" ")
    status = rest[:3]
    if not version.startswith("HTTP/1.") or not status.isdigit():
        raise EngineError(f"The proxy {name} does not speak HTTP. Check HTTPS_PROXY.", permanent=True)
    if status == "407":
        text = "requires a user name and a password. Add them to HTTPS_PROXY, e.g. http://user:password@host:port."
        raise EngineError(f"The proxy {name} {text}", permanent=True)
    if not status.startswith("2"):
        text = f"refused the connection to Amazon Transcribe: {rest[:80].strip()}. Check the proxy's settings."
        raise EngineError(f"The proxy {name} {text}", permanent=status.startswith("4") and status not in ("408", "429"))
