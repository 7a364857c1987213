"""The client's address: a client cannot choose it with forwarding headers."""

from ipaddress import ip_network

import pytest
from django.test import RequestFactory
from pytest_django import Settings

from transcribe_site import client_address

PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8"), ip_network("127.0.0.1")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.7"], "192.0.2.1"),  # not from a proxy
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["203.0.113.9, 198.51.100.7"], "198.51.100.7"),  # the client invented the first entry
        ("10.0.0.1", ["203.0.113.9", "198.51.100.7"], "198.51.100.7"),  # the same in two headers
        ("10.0.0.1", ["198.51.100.7, 10.0.0.2"], "198.51.100.7"),  # two proxies
        ("10.0.0.1", ["203.0.113.9, 198.51.100.7,10.0.0.2 , 10.3.0.4"], "198.51.100.7"),
        ("10.0.0.1", ["10.0.0.9"], "10.0.0.9"),  # a client in the proxies' network
        ("10.0.0.1", ["198.51.100.7:4711"], "198.51.100.7"),
        ("10.0.0.1", ["[2001:db8:1:2:3::4]:4711"], "2001:db8:1:2::"),
        ("10.0.0.1", ["198.51.100.7, nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7, "], "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", [], "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::1", [], "2001:db8:1:2::"),
        ("2001:db8:1:3::1", [], "2001:db8:1:3::"),
        ("fd00::5", ["2001:db8:9::1"], "2001:db8:9::"),
        ("::ffff:10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("::ffff:192.0.2.1", [], "192.0.2.1"),
        ("fe80::1%eth0", [], "fe80::"),
        ("", ["198.51.100.7"], ""),  # a Unix socket
    ],
)
def test_the_client_address_is_the_rightmost_that_is_no_trusted_proxy(
    peer: str, forwarded: list[str], expected: str
) -> None:
    assert client_address.client_address(peer, forwarded, PROXIES) == expected


def test_without_trusted_proxies_a_request_has_the_address_of_its_connection(settings: Settings) -> None:
    request = RequestFactory().get("/", REMOTE_ADDR="127.0.0.1", HTTP_X_FORWARDED_FOR="198.51.100.7")
    assert client_address.of_request(request) == "127.0.0.1"
    settings.TRANSCRIBE_TRUSTED_PROXIES = PROXIES
    assert client_address.of_request(request) == "198.51.100.7"
