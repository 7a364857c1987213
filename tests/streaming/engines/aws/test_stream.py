"""Complete streams to the stand-in of Amazon Transcribe: every word, unconfirmed words, connections and credentials."""

import asyncio
import math
import subprocess
import sys
from pathlib import Path

import pytest

from streaming.engines.aws import session
from tests.standin import Fault, Key, Service
from tests.standin.recognition import Segment
from tests.streaming.conftest import numbers
from tests.streaming.engines.aws.conftest import Point, Transcribe, expected_words, finals, sent_seconds, spoken


async def test_engine_returns_every_word_once_with_time_and_confidence(
    service: Service, transcribe: Transcribe
) -> None:
    results = await transcribe(30)
    assert spoken(results) == expected_words(30)
    first = finals(results)[0]
    assert (first.text, first.start_time, first.end_time, first.slot) == ("w0 w1 w2 w3.", 0.0, 2.0, "0")
    assert [(word.text, word.start_time, word.end_time) for word in first.words][-1] == ("w3.", 1.5, 2.0)
    assert first.words[0].confidence == 0.9
    assert [result.text for result in results[:4]] == ["w0", "w0 w1", "w0 w1 w2", "w0 w1 w2 w3."]
    (request,) = service.requests
    assert request.end == "end_stream"
    assert sent_seconds(request) == 15.0
    assert request.billed_seconds == math.ceil(request.audio_seconds)
    assert request.headers["x-amzn-transcribe-session-id"] == request.session_id


async def test_a_stream_of_twelve_minutes_outlives_its_signature(point: Point, transcribe: Transcribe) -> None:
    async with Service(rate=30.0) as service:  # so that a signature is valid for ten seconds of real time
        point(service)
        assert spoken(await transcribe(12 * 60 * 2)) == expected_words(12 * 60 * 2)
        (request,) = service.requests
        assert request.end == "end_stream"
        assert sent_seconds(request) == 12 * 60.0


async def test_engine_waits_for_results_that_pause(service: Service, transcribe: Transcribe) -> None:
    service.faults = [Fault("pause", at=2.0, seconds=15.0)]
    assert spoken(await transcribe(60)) == expected_words(60)
    assert len(service.requests) == 1


async def test_engine_opens_another_stream_for_unconfirmed_words(service: Service, transcribe: Transcribe) -> None:
    service.faults = [Fault("drop_last")]
    results = await transcribe(10)
    assert spoken(results) == expected_words(10)
    assert not any(final.is_provisional for final in finals(results))
    assert service.requests[1].numbers[0] == (8, 0.0)


async def test_words_that_stay_unconfirmed_are_kept_as_provisional(service: Service, transcribe: Transcribe) -> None:
    service.faults = [Fault("drop_last"), Fault("drop_last")]
    results = await transcribe(10)
    assert spoken(results) == expected_words(10)
    assert len(service.requests) == 2
    assert [(final.text, final.is_provisional) for final in finals(results)][1:] == [
        ("w4 w5 w6 w7.", False),
        ("w8 w9", True),
    ]


async def test_engine_ends_an_answer_that_never_ends_and_keeps_its_words(
    service: Service, transcribe: Transcribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "DRAIN_SECONDS", 1.0)
    service.faults = [Fault("never_ends"), Fault("never_ends")]
    results = await transcribe(10)
    assert spoken(results) == expected_words(10)
    assert finals(results)[-1].is_provisional
    assert len(service.requests) == 2


async def test_a_key_that_changes_mid_stream_is_used_for_the_next_stream(
    service: Service, transcribe: Transcribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.faults = [Fault("cut", at=10.0)]

    def change_key(_: Segment) -> None:
        service.keys["AKIANEW"] = Key("new secret", session_token="a token")
        for name, value in (
            ("ACCESS_KEY_ID", "AKIANEW"),
            ("SECRET_ACCESS_KEY", "new secret"),
            ("SESSION_TOKEN", "a token"),
        ):
            monkeypatch.setenv(f"AWS_{name}", value)

    service.on_segment = change_key
    assert spoken(await transcribe(40)) == expected_words(40)
    first, second = (request.headers["authorization"] for request in service.requests)
    assert "Credential=AKIANEW/" not in first
    assert "Credential=AKIANEW/" in second


async def test_credentials_are_found_where_aws_tools_find_them(
    service: Service, transcribe: Transcribe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The credentials come from a program that a profile names; the SDK's own lookup does not support this form."""
    (key_id, key), *_ = service.keys.items()
    program = tmp_path / "keys.py"
    program.write_text(f'print(\'{{"Version": 1, "AccessKeyId": "{key_id}", "SecretAccessKey": "{key.secret}"}}\')')
    (tmp_path / "config").write_text(f"[profile work]\ncredential_process = {sys.executable} {program}\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert spoken(await transcribe(4)) == expected_words(4)


async def test_each_job_has_its_own_connection(service: Service, transcribe: Transcribe, tmp_path: Path) -> None:
    path = numbers(tmp_path / "shared.wav", 12)
    heard = await asyncio.gather(*(transcribe(path=path) for _ in range(5)))
    assert [spoken(results) for results in heard] == [expected_words(12)] * 5
    assert len({request.connection for request in service.requests}) == len(service.requests) == 5


def test_amazons_libraries_are_imported_only_by_a_job() -> None:
    program = (
        "import os, sys, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'tests.settings'; django.setup();"
        "from django.conf import settings; settings.TRANSCRIBE_ENGINES = ['local', 'aws'];"
        "import streaming.worker.runner, streaming.live.consumers, streaming.web.forms;"
        "from streaming.engines.registry import engine_classes; engine_classes(); streaming.web.forms.StartForm();"
        "print(sorted({'awscrt', 'amazon_transcribe', 'botocore', 'h2'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "[]\n"
