"""What the service refuses or can't be asked for: said in a sentence, and not tried again where that won't help."""

from pathlib import Path
from typing import Any

import pytest

from streaming import backoff
from streaming.engines.aws.engine import AwsEngine
from streaming.engines.base import EngineBusy, EngineError
from tests.standin import Fault, Key, Service
from tests.streaming.engines.aws.conftest import Hear, Point, said, spoken


async def test_a_refusal_of_the_request_is_said_and_not_tried_again(service: Service, listen: Hear) -> None:
    service.faults = [Fault("refuse:BadRequestException", message="Your vocabulary could not be found.")]
    with pytest.raises(EngineError) as refused:
        await listen(10)
    assert str(refused.value) == (
        "Amazon Transcribe in eu-west-1 refused the request: Your vocabulary could not be found."
    )
    assert (refused.value.permanent, len(service.requests)) == (True, 1)


async def test_a_key_that_has_expired_is_said_and_not_tried_again(
    service: Service, listen: Hear, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.keys["AKIAIOSFODNN7EXPIRED"] = Key("a secret", session_token="old", is_expired=True)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXPIRED")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "old")
    with pytest.raises(EngineError) as refused:
        await listen(10)
    assert str(refused.value) == (
        "Amazon refused the key AKIA…IRED: it has expired. Renew the credentials, then try again."
    )
    assert (refused.value.permanent, len(service.requests)) == (True, 1)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"AWS_ACCESS_KEY_ID": "AKIAUNKNOWN"}, "Amazon refused the key AKIA…NOWN: it does not know the key."),
        ({"AWS_SECRET_ACCESS_KEY": "swordfish"}, "Amazon refused the key AKIA…MPLE: the secret does not belong to it"),
    ],
)
async def test_a_wrong_key_is_said(
    service: Service, listen: Hear, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], sentence: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(EngineError) as refused:
        await listen(10)
    assert str(refused.value).startswith(sentence)
    assert refused.value.permanent
    assert "swordfish" not in str(refused.value), "a secret is not shown"


async def test_a_key_without_permission_is_told_which_one(service: Service, listen: Hear) -> None:
    next(iter(service.keys.values())).may_transcribe = False
    with pytest.raises(EngineError, match="Allow it transcribe:StartStreamTranscription"):
        await listen(10)


async def test_no_key_at_all_is_said(service: Service, listen: Hear, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(EngineError, match=r"There are no AWS credentials here\. Set AWS_ACCESS_KEY_ID"):
        await listen(10)
    assert service.requests == []


async def test_a_certificate_that_nobody_trusts_is_said(service: Service, listen: Hear, settings: Any) -> None:
    settings.AWS_CA_BUNDLE = ""
    with pytest.raises(EngineError, match=r"is not trusted .* AWS_CA_BUNDLE") as refused:
        await listen(10)
    assert refused.value.permanent


async def test_a_file_of_authorities_that_is_not_there_is_said(service: Service, listen: Hear, settings: Any) -> None:
    settings.AWS_CA_BUNDLE = "/nowhere/ca.pem"
    with pytest.raises(EngineError, match="AWS_CA_BUNDLE") as refused:
        await listen(10)
    assert refused.value.permanent


async def test_a_service_that_is_not_there_is_tried_again_and_then_said(
    service: Service, listen: Hear, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "LONGEST_PAUSE_SECONDS", 0.01)
    settings.AWS_ENDPOINT_URL_TRANSCRIBE_STREAMING = "https://localhost:1"
    with pytest.raises(EngineError, match="The connection to Amazon Transcribe in eu-west-1 failed") as refused:
        await listen(10)
    assert not refused.value.permanent


async def test_no_free_stream_is_told_at_once(point: Point, listen: Hear) -> None:
    async with Service(quota=0) as service:  # as if others of the account had them all
        point(service)
        with pytest.raises(EngineBusy, match=r"^Waiting for a free Amazon Transcribe stream\.$"):
            await listen(10)
        assert len(service.requests) == 1
        service.quota = 1
        assert spoken(await listen(10)) == said(10)


async def test_the_connection_can_be_tested(service: Service) -> None:
    sentence = await AwsEngine.test_connection()
    assert sentence.startswith("Amazon Transcribe in eu-west-1 took the key AKIA…MPLE and answered in ")
    assert (service.billed_seconds, service.streams) == (15, 0)


async def test_a_connection_that_does_not_work_says_why(service: Service) -> None:
    next(iter(service.keys.values())).is_expired = True
    with pytest.raises(EngineError, match="it has expired"):
        await AwsEngine.test_connection()


async def test_a_profile_that_is_not_there_is_a_missing_region_and_no_broken_page(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.AWS_REGION = ""
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert AwsEngine.missing() == "Set AWS_REGION, as in eu-west-1, to use Amazon Transcribe."


async def test_a_program_that_gives_no_key_at_the_moment_is_asked_again(
    service: Service, listen: Hear, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("[profile work]\ncredential_process = false\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "work")
    monkeypatch.setattr(backoff, "LONGEST_PAUSE_SECONDS", 0.01)
    with pytest.raises(EngineError, match="AWS gave no credentials") as refused:
        await listen(4)
    assert not refused.value.permanent
