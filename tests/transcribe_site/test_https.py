"""A site behind a TLS proxy: it accepts https only, and refuses forms and sockets of its own http pages."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.site import ROOT, Site
from tests.tls import TLSProxy

LONG_KEY = "a long random text with many different letters: 0123456789"
PATH = "/ws/jobs/6f4c3f6e-70bb-4bd5-a49e-d2bb9bb51c9c/"
NOT_FOUND, REFUSED = 4404, 1008


@pytest.fixture
def proxy(new_site: Callable[..., Site]) -> Iterator[TLSProxy]:
    """Yield a TLS proxy in front of a site. The site trusts only the proxy's https address."""
    with TLSProxy() as proxy:
        site = new_site(CSRF_TRUSTED_ORIGINS=proxy.url)
        site.start()
        host, _, port = site.url.removeprefix("http://").partition(":")
        proxy.to = (host, int(port))
        yield proxy


@pytest.fixture
def client(proxy: TLSProxy) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=proxy.url, verify=proxy.context, timeout=60) as client:
        client.get("/accounts/login/")
        yield client


def sign_in(client: httpx.Client, **headers: str) -> int:
    form = {"username": "admin", "password": "wonderland", "csrfmiddlewaretoken": client.cookies["csrftoken"]}
    return client.post("/accounts/login/", data=form, headers=headers).status_code


def socket_code(proxy: TLSProxy, client: httpx.Client, origin: str | None) -> int:
    """Open a socket to a job that does not exist, and return its close code."""
    cookie = {"Cookie": f"sessionid={client.cookies['sessionid']}"}
    address = proxy.url.replace("https", "wss", 1) + PATH
    with (
        connect(address, ssl=proxy.context, additional_headers=cookie, origin=origin, open_timeout=60) as socket,  # type: ignore[arg-type]
        pytest.raises(ConnectionClosed) as closed,
    ):
        socket.recv(timeout=60)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code


def as_http(proxy: TLSProxy) -> str:
    return proxy.url.replace("https", "http", 1)


def test_accepts_forms_and_sockets_of_its_https_pages_behind_tls(proxy: TLSProxy, client: httpx.Client) -> None:
    assert sign_in(client, Origin=proxy.url) == 302
    assert socket_code(proxy, client, proxy.url) == NOT_FOUND


def test_refuses_a_form_of_an_http_page_behind_tls(proxy: TLSProxy, client: httpx.Client) -> None:
    assert sign_in(client, Origin=as_http(proxy)) == 403
    assert sign_in(client, Referer=f"{as_http(proxy)}/accounts/login/") == 403


def test_refuses_a_socket_of_an_http_page_behind_tls(proxy: TLSProxy, client: httpx.Client) -> None:
    assert sign_in(client) == 302
    assert socket_code(proxy, client, as_http(proxy)) == REFUSED


def test_clients_other_than_browsers_need_neither_origin_nor_referer_behind_tls(
    proxy: TLSProxy, client: httpx.Client
) -> None:
    assert sign_in(client) == 302
    assert socket_code(proxy, client, None) == NOT_FOUND
    assert sign_in(client, Referer="https://evil.example/") == 403


def test_sends_hsts_behind_tls(client: httpx.Client) -> None:
    answers = [client.get(address) for address in ("/accounts/login/", "/", "/nothing/")]
    assert [answer.headers.get("strict-transport-security") for answer in answers] == ["max-age=31536000"] * 3
    cookies = client.get("/accounts/login/").headers.get_list("set-cookie")
    assert cookies
    assert all("; Secure" in cookie for cookie in cookies)


def test_a_site_on_plain_http_accepts_its_own_pages_and_sends_no_hsts(site: Site) -> None:
    with httpx.Client(base_url=site.url, timeout=60) as client:
        answer = client.get("/accounts/login/", headers={"X-Forwarded-Proto": "https"})
        assert "strict-transport-security" not in answer.headers
        assert sign_in(client, Origin=site.url.replace("http", "https", 1)) == 403
        assert sign_in(client, Origin=site.url) == 302


@pytest.mark.parametrize("origins", ["", "https://words.example"])
def test_the_deployment_check_of_django_finds_nothing(tmp_path: Path, origins: str) -> None:
    environ = os.environ | {
        "TRANSCRIBE_DATA_DIR": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "transcribe_site.settings",
        "SECRET_KEY": LONG_KEY,
        "CSRF_TRUSTED_ORIGINS": origins,
    }
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    checked = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")
