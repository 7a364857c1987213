"""Helpers of the tests of views: request a page, and extract parts of the response."""

import html
import re
from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext

from streaming.models import Job, Segment
from uploads.models import Upload

ClientOf = Callable[[User], Client]
JSON = {"Accept": "application/json"}
JOBS, UPLOADS, PEOPLE = "/admin/streaming/job/", "/admin/uploads/upload/", "/admin/auth/user/"  # the admin's lists


def said(response: HttpResponse) -> list[str]:
    """Return the messages that the next page shows."""
    return [str(message) for message in get_messages(response.wsgi_request)]


def queries(client: Client, address: str) -> int:
    """Return the number of queries of a page."""
    client.get(address)  # fill the caches of the process
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    return len(captured)


def state() -> tuple[list[Any], ...]:
    """Return all rows that a request could change."""
    return tuple([*model.objects.order_by("pk").values()] for model in (Upload, Job, Segment))


def text_of(markup: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", markup)).split())


def table(response: HttpResponse) -> list[list[str]]:
    """Return the cell texts of a list of the admin, row by row, without the checkboxes."""
    assert response.status_code == 200
    found = re.findall(r"<tr>(?=<td class=\"action)(.*?)</tr>", response.content.decode(), re.DOTALL)
    cells = re.compile(r"<(td|th) class=\"field-[^>]*>(.*?)</\1>", re.DOTALL)
    return [[text_of(markup) for _, markup in cells.findall(row)] for row in found]


def act(client: Client, address: str, action: str, *rows: Job | Upload | User, **fields: str) -> HttpResponse:
    """Run an action of the admin on these rows."""
    selected = {"action": action, "index": "0", "_selected_action": [str(row.pk) for row in rows]}
    return client.post(address, selected | fields)
