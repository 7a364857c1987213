"""Sign-in, sign-out and password changes; every other page needs a sign-in."""

from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from pytest_django import Settings

pytestmark = pytest.mark.django_db

OPEN = {"login", "logout"}  # a sign-out without a session changes nothing
ARGUMENTS = {"pk": UUID(int=4), "format": "txt", "name": "local"}


def ours(patterns: list[URLPattern | URLResolver]) -> Iterator[tuple[str, str]]:
    """Yield name and address of every page of the site except the admin's."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            if pattern.namespace != "admin":
                yield from ours(pattern.url_patterns)
        else:
            wanted = pattern.pattern.converters
            yield str(pattern.name), reverse(str(pattern.name), kwargs={name: ARGUMENTS[name] for name in wanted})


PAGES = sorted(ours(get_resolver().url_patterns))


@pytest.mark.parametrize(("name", "address"), [page for page in PAGES if page[0] not in OPEN], ids=lambda value: value)
@pytest.mark.parametrize("method", ["get", "post"])
def test_every_page_needs_a_sign_in(client: Client, name: str, address: str, method: str) -> None:
    answer = getattr(client, method)(address)
    if answer.status_code == 405:  # the view accepts only the other method
        answer = getattr(client, "post" if method == "get" else "get")(address)
    assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/accounts/login/")


def test_the_list_of_pages_that_need_a_sign_in_is_not_empty() -> None:
    assert {"library", "job", "job-transcript", "upload-audio", "upload-waveform"} <= {name for name, _ in PAGES}


def test_a_user_signs_in_to_the_requested_page_and_signs_out(client: Client, alice: User) -> None:
    answer = client.post("/accounts/login/?next=/jobs/", {"username": "alice", "password": "wonderland"})
    assert (answer.status_code, answer["Location"]) == (302, "/jobs/")
    assert client.get("/").status_code == 200
    assert client.post("/accounts/logout/").status_code == 302
    assert client.get("/").status_code == 302


def test_signing_in_does_not_lead_to_another_site(client: Client, alice: User) -> None:
    answer = client.post("/accounts/login/?next=https://evil.example/", {"username": "alice", "password": "wonderland"})
    assert answer["Location"] == "/"


def test_a_wrong_password_shows_an_error(client: Client, alice: User) -> None:
    answer = client.post("/accounts/login/", {"username": "alice", "password": "looking-glass"})
    assert answer.status_code == 200
    assert "correct username and password" in answer.content.decode()


def test_a_user_changes_the_password(client_of: Callable[[User], Client], client: Client, alice: User) -> None:
    form = {"old_password": "wonderland", "new_password1": "jabberwock-7", "new_password2": "jabberwock-7"}
    answer = client_of(alice).post("/accounts/password/", form)
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/password/done/")
    answer = client.post("/accounts/login/", {"username": "alice", "password": "jabberwock-7"})
    assert answer.status_code == 302


def test_the_first_account_is_created_once_and_its_password_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("ensure_admin")
    shown = capsys.readouterr().out
    password = shown.split("password ")[1].split()[0]
    admin = User.objects.get()
    assert (admin.username, admin.is_superuser, admin.check_password(password)) == ("admin", True, True)
    assert len(password) >= 12
    call_command("ensure_admin")
    assert capsys.readouterr().out == ""
    assert User.objects.count() == 1


def test_the_first_account_gets_the_configured_password(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    settings.TRANSCRIBE_ADMIN_PASSWORD = "wonderland"
    call_command("ensure_admin")
    assert User.objects.get().check_password("wonderland")
    assert "wonderland" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "address", ["/accounts/login/", "/accounts/login/?next=/accounts/login/", "/accounts/login/?a"]
)
def test_a_sign_in_with_itself_as_next_page_leads_to_the_library(client: Client, alice: User, address: str) -> None:
    client.force_login(alice)
    response = client.get("/accounts/login/", {"next": address})
    assert (response.status_code, response["Location"]) == (302, "/")


def test_a_sign_in_leads_to_the_next_page(client: Client, alice: User) -> None:
    client.force_login(alice)
    assert client.get("/accounts/login/", {"next": "/jobs/?page=2"})["Location"] == "/jobs/?page=2"


@pytest.mark.parametrize("address", ["/", "/jobs/", "/accounts/password/", f"/jobs/{UUID(int=4)}/", "/nowhere/"])
def test_no_cache_keeps_a_private_page(client: Client, alice: User, address: str) -> None:
    client.force_login(alice)
    assert client.get(address)["Cache-Control"] == "private, no-store"
    client.logout()
    assert "no-store" in client.get(address)["Cache-Control"]
