"""Parsers for the values of environment variables, each with a description of the allowed values."""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any
from urllib.parse import urlsplit

TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


@dataclass(frozen=True)
class Kind:
    """`allowed` describes the texts that `parse` accepts. For any other text `parse` raises ValueError."""

    allowed: str
    parse: Callable[[str], Any] = str


def _flag(value: str) -> bool:
    if value.lower() not in TRUE | FALSE:
        raise ValueError
    return value.lower() in TRUE


def _names(value: str) -> list[str]:
    return [name.strip() for name in value.split(",") if name.strip()]


def _origins(value: str) -> list[str]:
    found = _names(value)
    if not all(origin.startswith(("http://", "https://")) for origin in found):
        raise ValueError
    return found


def _networks(value: str) -> list[IPv4Network | IPv6Network]:
    return [ip_network(name) for name in _names(value)]


FLAG = Kind("0 or 1", _flag)
HOSTS = Kind("host names, separated by commas", _names)
ORIGINS = Kind("origins with their scheme, as in https://example.org, separated by commas", _origins)
NETWORKS = Kind("networks, separated by commas, as in 10.0.0.0/8,fd00::/8", _networks)


def number(lowest: float, highest: float) -> Kind:
    """Return the kind of numbers within these bounds; of integers if `lowest` is an integer."""

    def parse(value: str) -> float:
        found = type(lowest)(value)
        if not lowest <= found <= highest:  # NaN is not between them
            raise ValueError
        return found

    return Kind(f"a number from {lowest} to {highest}", parse)


def one_of(*allowed: str) -> Kind:
    def parse(value: str) -> str:
        if value not in allowed:
            raise ValueError
        return value

    return Kind(" or ".join(allowed), parse)


def url(*schemes: str, note: str = "") -> Kind:
    def parse(value: str) -> str:
        if value and value.split(":", 1)[0] not in schemes:
            raise ValueError
        parts = urlsplit(value)
        parts.port  # noqa: B018 raises ValueError for an invalid port
        if parts.scheme not in {"sqlite", "unix"} and "@" in parts.path + parts.query + parts.fragment:
            raise ValueError  # a special character of a password is not percent-encoded
        if value.startswith("https:") and not parts.hostname:
            raise ValueError
        return value

    return Kind(" or ".join(f"{scheme}://…" for scheme in schemes) + note, parse)
