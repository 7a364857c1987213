"""Parsers of environment variables: each turns text into a value, or raises ValueError where it is not allowed."""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any
from urllib.parse import urlsplit

TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


def text(value: str) -> str:
    return value


def flag(value: str) -> bool:
    if value.lower() in TRUE:
        return True
    if value.lower() in FALSE:
        return False
    raise ValueError


def names(value: str) -> list[str]:
    return [name.strip() for name in value.split(",") if name.strip()]


def origins(value: str) -> list[str]:
    found = names(value)
    if not all(origin.startswith(("http://", "https://")) for origin in found):
        raise ValueError
    return found


def networks(value: str) -> list[IPv4Network | IPv6Network]:
    return [ip_network(name) for name in names(value)]


def whole(lowest: int, highest: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        number = int(value)
        if not lowest <= number <= highest:
            raise ValueError
        return number

    return parse


def number(lowest: float, highest: float) -> Callable[[str], float]:
    def parse(value: str) -> float:
        number = float(value)
        if not lowest <= number <= highest:  # NaN is neither
            raise ValueError
        return number

    return parse


def one_of(*allowed: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in allowed:
            raise ValueError
        return value

    return parse


def url(*schemes: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value and value.split(":", 1)[0] not in schemes:
            raise ValueError
        parts = urlsplit(value)
        parts.port  # noqa: B018 raises ValueError for what is no port
        if parts.scheme not in {"sqlite", "unix"} and "@" in parts.path + parts.query + parts.fragment:
            raise ValueError  # a password is not written as an address wants it
        if value.startswith("https:") and not urlsplit(value).hostname:
            raise ValueError
        return value

    return parse


@dataclass(frozen=True)
class Variable:
    """One variable: its `default` as it would be written in the environment, and `allowed` in words."""

    name: str
    default: str
    parse: Callable[[str], Any]
    allowed: str
    help: str
