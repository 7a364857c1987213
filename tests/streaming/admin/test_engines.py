"""The engines in the admin: the settings that an engine needs, and the connection test."""

import asyncio
import re
from collections.abc import AsyncGenerator
from typing import ClassVar

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client
from pytest_django.fixtures import Settings

from streaming.engines import registry
from streaming.engines.base import Engine, EngineError, Quote, Request
from streaming.results import Result
from streaming.spool import Spool
from tests.streaming.factories import make_staff
from tests.streaming.pages import ClientOf, said, text_of

PAGE = "/admin/engines/"
TEST = f"{PAGE}distant/test/"


class DistantEngine(Engine):
    """An engine with a connection test. `tests` has an entry for each test that ran."""

    name = "distant"
    label = "Distant"
    languages: ClassVar = {"en-US": "English, US"}
    test_note = "A test costs a cent."
    lacks: ClassVar = ""
    failure: ClassVar = ""
    tests: ClassVar[list[str]] = []

    @classmethod
    def missing(cls) -> str:
        return cls.lacks

    @classmethod
    def quote(cls, duration: float, options: object) -> Quote:
        return Quote(duration, 0.01, "mars-1")

    @classmethod
    async def test_connection(cls) -> str:
        await asyncio.sleep(0)
        cls.tests.append("once")
        if cls.failure:
            raise EngineError(cls.failure, permanent=True)
        return "It answered in 0.2 s."

    async def transcribe(self, audio: Spool, request: Request) -> AsyncGenerator[Result, None]:
        yield Result("", 0, 0, is_partial=False)


@pytest.fixture(autouse=True)
def distant(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> type[DistantEngine]:
    monkeypatch.setitem(registry.ENGINES, "distant", f"{__name__}.DistantEngine")
    monkeypatch.setattr(DistantEngine, "tests", [])
    settings.TRANSCRIBE_ENGINES = ["scripted", "distant"]
    return DistantEngine


def shown(response: HttpResponse) -> list[str]:
    """Return the text of each engine's section on the page."""
    assert response.status_code == 200
    sections = re.findall(r"<section.*?</section>", response.content.decode(), re.DOTALL)
    return [text_of(section) for section in sections]


SCRIPTED = "Scripted Configured Yes Audio processed on this server Languages 2"


def test_shows_each_engine_with_a_test_where_there_is_a_connection(bob: User, client_of: ClientOf) -> None:
    assert shown(client_of(bob).get(PAGE)) == [
        SCRIPTED,
        "Distant Configured Yes Audio is sent to mars-1 Languages 1 Test the connection "
        "It may take up to half a minute. A test costs a cent.",
    ]


def test_an_unconfigured_engine_shows_what_is_missing_and_offers_no_test(
    bob: User, client_of: ClientOf, distant: type[DistantEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distant, "lacks", "Set MARS.")
    assert shown(client_of(bob).get(PAGE)) == [
        SCRIPTED,
        "Distant Configured No. Set MARS. Languages 1",
    ]


def test_a_successful_connection_test_shows_its_result(
    bob: User, client_of: ClientOf, distant: type[DistantEngine]
) -> None:
    client = client_of(bob)
    response = client.post(TEST)
    assert (response.status_code, response["Location"]) == (302, PAGE)
    assert said(response) == ["It answered in 0.2 s."]
    assert b'<li class="success">It answered in 0.2 s.</li>' in client.get(PAGE).content
    assert distant.tests == ["once"]


def test_a_failed_connection_test_shows_its_reason(
    bob: User, client_of: ClientOf, distant: type[DistantEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distant, "failure", "The key <b>is</b> wrong: set another.")
    client = client_of(bob)
    client.post(TEST)
    error = b'<li class="error">Distant: The key &lt;b&gt;is&lt;/b&gt; wrong: set another.</li>'
    assert error in client.get(PAGE).content


def test_testing_an_engine_without_a_connection_reports_that_it_needs_none(bob: User, client_of: ClientOf) -> None:
    assert said(client_of(bob).post(f"{PAGE}scripted/test/")) == ["Scripted needs no connection."]


def test_the_admin_index_links_to_the_engines_for_permitted_staff(bob: User, client_of: ClientOf) -> None:
    link = b'<a href="/admin/engines/"'
    assert link in client_of(bob).get("/admin/").content
    assert link not in client_of(make_staff("dora", "view_job")).get("/admin/").content


@pytest.mark.parametrize("address", [PAGE, TEST])
def test_who_is_not_staff_is_asked_to_sign_in(
    client: Client, charlie: User, client_of: ClientOf, distant: type[DistantEngine], address: str
) -> None:
    for visitor, door in ((client, "/accounts/login/"), (client_of(charlie), "/admin/login/")):
        for call in (visitor.get, visitor.post):
            response = call(address)
            assert (response.status_code, response["Location"]) == (302, f"{door}?next={address}")
    assert distant.tests == []


@pytest.mark.parametrize("address", [PAGE, TEST])
def test_staff_with_read_only_permission_can_not_open_the_engines_page(
    db: None, client_of: ClientOf, distant: type[DistantEngine], address: str
) -> None:
    client = client_of(make_staff("dora", "view_job", "view_upload"))
    assert {client.get(address).status_code, client.post(address).status_code} == {403}
    assert distant.tests == []


def test_another_method_is_not_allowed(bob: User, client_of: ClientOf, distant: type[DistantEngine]) -> None:
    assert client_of(bob).post(PAGE).status_code == 405
    assert client_of(bob).get(TEST).status_code == 405
    assert distant.tests == []


@pytest.mark.parametrize("name", ["abacus", "local", "%00", "../scripted"])
def test_an_engine_that_the_site_has_not_is_not_found(bob: User, client_of: ClientOf, name: str) -> None:
    assert client_of(bob).post(f"{PAGE}{name}/test/").status_code == 404


def test_a_cross_site_form_starts_no_connection_test(bob: User, distant: type[DistantEngine]) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(bob)
    assert client.post(TEST).status_code == 403
    assert distant.tests == []


def test_the_page_keeps_to_the_policy_that_forbids_inline_scripts_and_styles(bob: User, client_of: ClientOf) -> None:
    content = client_of(bob).get(PAGE).content.decode()
    assert re.findall(r"<[^>]+\s(?:style|on\w+)=", content) == []
    assert re.findall(r"<style|<script(?![^>]*\ssrc=)(?![^>]*application/json)", content) == []
