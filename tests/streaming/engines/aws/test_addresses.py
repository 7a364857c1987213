"""The endpoint to which the engine sends audio, for each of AWS's regions, partitions and variants."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from streaming.engines.aws import account
from streaming.engines.aws.engine import AwsEngine
from streaming.engines.base import EngineError

FIPS, DUAL_STACK = "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"


@pytest.fixture(autouse=True)
def plain(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.AWS_ENDPOINT_URL_TRANSCRIBE_STREAMING = ""
    for name in (FIPS, DUAL_STACK, "AWS_PROFILE", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")


# Copied from AWS's list of endpoints.
@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us-east-1", "transcribestreaming.us-east-1.amazonaws.com"),
        ("eu-west-1", "transcribestreaming.eu-west-1.amazonaws.com"),
        ("us-gov-west-1", "transcribestreaming.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "transcribestreaming.cn-north-1.amazonaws.com.cn"),
        ("eusc-de-east-1", "transcribestreaming.eusc-de-east-1.amazonaws.eu"),
        ("us-iso-east-1", "transcribestreaming.us-iso-east-1.c2s.ic.gov"),
        ("us-isob-east-1", "transcribestreaming.us-isob-east-1.sc2s.sgov.gov"),
        ("eu-isoe-west-1", "transcribestreaming.eu-isoe-west-1.cloud.adc-e.uk"),
        ("us-isof-south-1", "transcribestreaming.us-isof-south-1.csp.hci.ic.gov"),
        ("xx-new-1", "transcribestreaming.xx-new-1.amazonaws.com"),
    ],
)
def test_endpoint_has_the_suffix_of_its_partition(region: str, host: str) -> None:
    assert account.endpoint(region) == f"https://{host}"


@pytest.mark.parametrize(
    ("variables", "region", "host"),
    [
        ({FIPS: "true"}, "us-east-1", "transcribestreaming-fips.us-east-1.amazonaws.com"),
        ({FIPS: "true"}, "us-gov-west-1", "transcribestreaming-fips.us-gov-west-1.amazonaws.com"),
        ({DUAL_STACK: "true"}, "eu-west-1", "transcribestreaming.eu-west-1.api.aws"),
        ({DUAL_STACK: "true"}, "cn-north-1", "transcribestreaming.cn-north-1.api.amazonwebservices.com.cn"),
        ({DUAL_STACK: "true"}, "eusc-de-east-1", "transcribestreaming.eusc-de-east-1.api.amazonwebservices.eu"),
        ({FIPS: "true", DUAL_STACK: "true"}, "us-east-2", "transcribestreaming-fips.us-east-2.api.aws"),
        ({FIPS: "false", DUAL_STACK: "false"}, "us-east-1", "transcribestreaming.us-east-1.amazonaws.com"),
    ],
)
def test_environment_variables_select_an_endpoint_variant(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], region: str, host: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert account.endpoint(region) == f"https://{host}"


def test_endpoint_of_every_botocore_partition_has_its_suffix(monkeypatch: pytest.MonkeyPatch) -> None:
    partitions = json.loads((files("botocore") / "data" / "partitions.json").read_text())["partitions"]
    regions = [
        (region, partition["outputs"])
        for partition in partitions
        for region in partition["regions"]
        if not region.endswith("-global")
    ]
    assert len(regions) > 30
    for region, outputs in regions:
        assert account.endpoint(region) == f"https://transcribestreaming.{region}.{outputs['dnsSuffix']}"
    monkeypatch.setenv(DUAL_STACK, "true")
    for region, outputs in regions:
        if "-iso" not in region:
            expected = f"https://transcribestreaming.{region}.{outputs['dualStackDnsSuffix']}"
            assert account.endpoint(region) == expected


def test_a_profile_selects_an_endpoint_variant(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = "[profile work]\nuse_fips_endpoint = true\nuse_dualstack_endpoint = true\n"
    (tmp_path / "config").write_text(config)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert account.endpoint("us-west-2") == "https://transcribestreaming-fips.us-west-2.api.aws"


def test_a_configured_endpoint_overrides_variants(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FIPS, "true")
    settings.AWS_ENDPOINT_URL_TRANSCRIBE_STREAMING = "https://transcribe.internal"
    assert account.endpoint("us-east-1") == "https://transcribe.internal"


def test_a_missing_endpoint_variant_is_an_error_with_advice(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DUAL_STACK, "true")
    settings.AWS_REGION = "us-iso-east-1"
    with pytest.raises(EngineError, match="has no FIPS or dual-stack endpoint in us-iso-east-1") as caught:
        account.endpoint("us-iso-east-1")
    assert caught.value.permanent
    assert AwsEngine.address() == str(caught.value), "the page shows the error and does not fail"
