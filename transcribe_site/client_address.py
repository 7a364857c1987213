"""Determines the client's address of a request: that of the connection, or the one that a trusted proxy reports.

The limits on connections (`server/connections.py`) and on sign-ins (django-axes) use the same function.
"""

from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

IPV6_PREFIX = 64  # providers assign at least a /64 to a customer, whose hosts can change their address within it


def client_address(peer: str, forwarded_for: Iterable[str] = (), trusted: Collection[Network] | None = None) -> str:
    """Return the address by which limits count a request. For IPv6 it is the first address of the /64.

    `forwarded_for` has the values of X-Forwarded-For in their order. They are used only if `peer` is a trusted proxy,
    from the right up to the first address that is not a trusted proxy: a client can forge the entries left of it.
    """
    if trusted is None:
        trusted = settings.TRANSCRIBE_TRUSTED_PROXIES
    found = parsed(peer)
    if found is None:
        return peer  # a Unix socket has no address
    for value in reversed(",".join(forwarded_for).split(",")):
        if not any(found in network for network in trusted):
            break
        if (further := parsed(value)) is None:
            break  # not an address, so the entries to its left are not reliable either
        found = further
    if isinstance(found, IPv6Address):
        return str(ip_network((found, IPV6_PREFIX), strict=False).network_address)
    return str(found)


def is_trusted(peer: str) -> bool:
    """Return whether a connection comes from a trusted proxy."""
    found = parsed(peer)
    return found is not None and any(found in network for network in settings.TRANSCRIBE_TRUSTED_PROXIES)


def parsed(value: str) -> Address | None:
    """Return the address in an entry of X-Forwarded-For; some proxies add the port."""
    text = value.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    # A socket for both families shows IPv4 clients as ::ffff:192.0.2.1.
    return getattr(found, "ipv4_mapped", None) or found


def of_request(request: HttpRequest) -> str:
    """Return the client's address of a request, for django-axes."""
    return client_address(request.META.get("REMOTE_ADDR", ""), [request.META.get("HTTP_X_FORWARDED_FOR", "")])
