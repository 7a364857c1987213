"""The published `amazon-transcribe` package, without this project's subclasses, against the stand-in.

`tests/standin/test_sdk.py` tests its errors. This module tests legal HTTP/2 and the forms of results.
"""

import math

import pytest

from tests.standin import Fault, Habits, Service
from tests.standin.conftest import MakeSdk, sdk, speech
from tests.standin.model import LANGUAGES
from tests.standin.test_sdk import start, transcribe

__all__ = ["sdk"]  # a fixture

NUMBERS = range(1, 13)
SAID = [f"w{number}" for number in NUMBERS]


def words(results: list) -> list[str]:
    return [
        item.content
        for result in results
        if not result.is_partial
        for item in result.alternatives[0].items
        if item.item_type == "pronunciation"
    ]


@pytest.mark.parametrize("at", [0.0, 3.0, math.inf])
@pytest.mark.parametrize("kind", ["drain", "drain_twice"])
async def test_a_graceful_goaway_loses_no_word(service: Service, sdk: MakeSdk, kind: str, at: float) -> None:
    service.faults = [Fault(kind, at=at)]
    assert words(await transcribe(service, await start(sdk(service)), speech(*NUMBERS))) == SAID
    assert [record.end for record in service.requests] == ["end_stream"]


async def test_reads_the_forms_of_results_that_published_samples_show(sdk: MakeSdk) -> None:
    async with Service(rate=20, habits=Habits(True, True, 0.15)) as service:
        results = await transcribe(service, await start(sdk(service)), speech(*NUMBERS))
    assert words(results) == SAID
    assert {result.channel_id for result in results} == {"ch_0"}


async def test_starts_a_stream_in_languages_newer_than_the_package(service: Service, sdk: MakeSdk) -> None:
    for code in ("kab-DZ", "ckb-IQ", "zu-ZA"):
        assert code in LANGUAGES
        stream = await start(sdk(service), language_code=code)
        assert words(await transcribe(service, stream, speech(7))) == ["w7"]
