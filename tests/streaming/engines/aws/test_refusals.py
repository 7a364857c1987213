"""Refusals and wrong configuration: the error is a sentence, and the engine retries only if that can help."""

from pathlib import Path
from typing import Any

import pytest

from streaming import backoff
from streaming.engines.aws.engine import AwsEngine
from streaming.engines.base import EngineBusy, EngineError
from tests.standin import Fault, Key, Service
from tests.streaming.engines.aws.conftest import Point, Transcribe, expected_words, spoken


async def test_a_refused_request_is_reported_and_not_retried(service: Service, transcribe: Transcribe) -> None:
    service.faults = [Fault("refuse:BadRequestException", message="Your vocabulary could not be found.")]
    with pytest.raises(EngineError) as refused:
        await transcribe(10)
    assert str(refused.value) == (
        "Amazon Transcribe in eu-west-1 refused the request: Your vocabulary could not be found."
    )
    assert (refused.value.permanent, len(service.requests)) == (True, 1)


async def test_an_expired_key_is_reported_and_not_retried(
    service: Service, transcribe: Transcribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.keys["AKIAIOSFODNN7EXPIRED"] = Key("a secret", session_token="old", is_expired=True)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXPIRED")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "old")
    with pytest.raises(EngineError) as refused:
        await transcribe(10)
    assert str(refused.value) == (
        "Amazon refused the key AKIA…IRED: the key has expired. Renew the credentials, then try again."
    )
    assert (refused.value.permanent, len(service.requests)) == (True, 1)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"AWS_ACCESS_KEY_ID": "AKIAUNKNOWN"}, "Amazon refused the key AKIA…NOWN: the key is unknown."),
        ({"AWS_SECRET_ACCESS_KEY": "swordfish"}, "Amazon refused the key AKIA…MPLE: the secret does not match the key"),
    ],
)
async def test_a_wrong_key_is_reported(
    service: Service, transcribe: Transcribe, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], sentence: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(EngineError) as refused:
        await transcribe(10)
    assert str(refused.value).startswith(sentence)
    assert refused.value.permanent
    assert "swordfish" not in str(refused.value), "the error must not show the secret"


async def test_a_missing_permission_is_reported_by_name(service: Service, transcribe: Transcribe) -> None:
    next(iter(service.keys.values())).may_transcribe = False
    with pytest.raises(EngineError, match="Allow it transcribe:StartStreamTranscription"):
        await transcribe(10)


async def test_missing_credentials_are_reported(
    service: Service, transcribe: Transcribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(EngineError, match=r"No AWS credentials are configured\. Set AWS_ACCESS_KEY_ID"):
        await transcribe(10)
    assert service.requests == []


async def test_an_untrusted_certificate_is_reported(service: Service, transcribe: Transcribe, settings: Any) -> None:
    settings.AWS_CA_BUNDLE = ""
    with pytest.raises(EngineError, match=r"is not trusted .* AWS_CA_BUNDLE") as refused:
        await transcribe(10)
    assert refused.value.permanent


async def test_a_missing_ca_bundle_is_reported(service: Service, transcribe: Transcribe, settings: Any) -> None:
    settings.AWS_CA_BUNDLE = "/nowhere/ca.pem"
    with pytest.raises(EngineError, match="AWS_CA_BUNDLE") as refused:
        await transcribe(10)
    assert refused.value.permanent


async def test_an_unreachable_service_is_retried_and_then_reported(
    service: Service, transcribe: Transcribe, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "LONGEST_PAUSE_SECONDS", 0.01)
    settings.AWS_ENDPOINT_URL_TRANSCRIBE_STREAMING = "https://localhost:1"
    with pytest.raises(EngineError, match="The connection to Amazon Transcribe in eu-west-1 failed") as refused:
        await transcribe(10)
    assert not refused.value.permanent


async def test_a_full_stream_quota_is_reported_without_a_retry(point: Point, transcribe: Transcribe) -> None:
    async with Service(quota=0) as service:  # as if other users of the account occupied all streams
        point(service)
        with pytest.raises(EngineBusy, match=r"^Waiting for a free Amazon Transcribe stream\.$"):
            await transcribe(10)
        assert len(service.requests) == 1
        service.quota = 1
        assert spoken(await transcribe(10)) == expected_words(10)


async def test_the_connection_test_reports_success(service: Service) -> None:
    sentence = await AwsEngine.test_connection()
    assert sentence.startswith("Amazon Transcribe in eu-west-1 accepted the key AKIA…MPLE and answered in ")
    assert (service.billed_seconds, service.streams) == (15, 0)


async def test_the_connection_test_reports_the_reason_of_a_failure(service: Service) -> None:
    next(iter(service.keys.values())).is_expired = True
    with pytest.raises(EngineError, match="the key has expired"):
        await AwsEngine.test_connection()


async def test_a_missing_profile_counts_as_a_missing_region(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.AWS_REGION = ""
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert AwsEngine.missing() == "Set AWS_REGION, e.g. eu-west-1, to use Amazon Transcribe."


async def test_engine_retries_if_the_credential_program_fails(
    service: Service, transcribe: Transcribe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("[profile work]\ncredential_process = false\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "work")
    monkeypatch.setattr(backoff, "LONGEST_PAUSE_SECONDS", 0.01)
    with pytest.raises(EngineError, match="Could not get AWS credentials") as refused:
        await transcribe(4)
    assert not refused.value.permanent
