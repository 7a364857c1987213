"""Repeated requests that must start one job only: two tabs, a double click, a request sent again."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from django.urls import reverse

from streaming.db import in_thread
from streaming.models import Job
from tests.streaming.conftest import Watching
from tests.streaming.factories import make_upload

TABS = 4


@pytest.mark.django_db(transaction=True)
def test_tabs_that_start_at_the_same_moment_get_the_same_job(alice: User, client_of: Callable[[User], Client]) -> None:
    address = reverse("job-create", args=[make_upload(alice).pk])
    clients, together = [client_of(alice) for _ in range(TABS)], Barrier(TABS)

    def start(client: Client) -> tuple[int, Any]:
        together.wait()
        try:
            answer = client.post(address, {"request_id": "once"}, headers={"Accept": "application/json"})
        finally:
            connections.close_all()  # those of this thread
        return answer.status_code, answer.json()["id"]

    with ThreadPoolExecutor(TABS) as tabs:
        answers = list(tabs.map(start, clients))
    job = Job.objects.get()
    assert sorted(answers) == [(200, str(job.pk))] * (TABS - 1) + [(201, str(job.pk))]


async def test_repeated_start_over_another_socket_gets_the_same_job(watching: Watching, alice: User) -> None:
    upload = str((await in_thread(make_upload)(alice)).pk)
    jobs = set()
    for _ in range(2):
        async with watching(alice) as viewer:
            for _ in range(2):
                await viewer.send(type="start", upload=upload, request_id="once")
                jobs.add((await viewer.next())["job"]["id"])
    assert jobs == {str((await Job.objects.aget()).pk)}


@pytest.mark.parametrize(("request_id", "code"), [(5, "bad_message"), ("", "bad_request"), ("r" * 101, "bad_request")])
async def test_invalid_request_id_over_a_socket_gets_an_error(
    watching: Watching, alice: User, request_id: object, code: str
) -> None:
    upload = await in_thread(make_upload)(alice)
    async with watching(alice) as viewer:
        await viewer.send(type="start", upload=str(upload.pk), request_id=request_id)
        assert (await viewer.next())["code"] == code
    assert not await Job.objects.aexists()
