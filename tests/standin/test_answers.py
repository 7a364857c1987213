"""Properties of every answer, refusals included, and a GOAWAY of the client within an answer."""

import json
import time
from email.utils import parsedate_to_datetime

import pytest

from tests.standin import Fault, Service
from tests.standin.client import options
from tests.standin.conftest import ConnectRaw, speech


@pytest.mark.parametrize(
    ("form", "header", "body"),
    [
        ("{name}:", "ConflictException:", {}),
        ("ns#{name}:http://example.org/", "ns#ConflictException:http://example.org/", {}),
        ("", None, {"__type": "ConflictException"}),
    ],
)
async def test_an_error_is_named_in_every_documented_form(
    connect: ConnectRaw, form: str, header: str | None, body: dict[str, str]
) -> None:
    async with Service(error_type=form) as service:
        service.faults = [Fault("refuse:ConflictException", message="Oh.")]
        client = await (await connect(service)).begin()
        await client.until(lambda: client.end)
        assert (client.headers.get("x-amzn-errortype"), json.loads(client.body)) == (header, {"Message": "Oh."} | body)


async def test_every_answer_has_a_date(service: Service, connect: ConnectRaw) -> None:
    service.faults = [Fault("refuse:ConflictException"), None]
    for _ in range(2):
        before = int(time.time())
        client = await (await connect(service)).begin()
        date = parsedate_to_datetime(client.headers["date"]).timestamp()
        assert before <= date <= time.time()


async def test_another_path_is_not_served(service: Service, connect: ConnectRaw) -> None:
    client = await connect(service)
    client.start(client.request(options()), "/batch-transcription")
    await client.until(lambda: client.end)
    assert (client.status, client.headers["x-amzn-errortype"]) == (404, "UnknownOperationException:")


async def test_a_stream_continues_after_the_clients_graceful_goaway(service: Service, connect: ConnectRaw) -> None:
    client = await (await connect(service)).begin()
    client.go_away()
    client.send_audio(speech(1, 2))
    await client.until(lambda: client.results)
    client.send_audio(speech(3))
    client.end_audio()
    await client.until(lambda: client.end)
    assert client.results[-1]["Alternatives"][0]["Transcript"] == "w1 w2 w3."
    assert (client.end, service.requests[0].end) == ("end_stream", "end_stream")
    assert service.requests[0].has_client_goaway
