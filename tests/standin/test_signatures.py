"""Signatures of requests: the stand-in refuses those that AWS refuses, with AWS's messages.

This module signs `:authority` itself; in `tests/interop/` AWS's SDK for JavaScript does.
"""

import asyncio
import hashlib
import hmac
import time
from collections.abc import Callable

import pytest

from tests.standin import Service
from tests.standin.client import options
from tests.standin.conftest import ConnectRaw
from tests.standin.signatures import signing_key

Change = Callable[[dict[str, str]], object]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda headers: headers.pop("authorization"), "MissingAuthenticationTokenException"),
        (lambda headers: headers.update(authorization="Bearer me"), "IncompleteSignatureException"),
        (lambda headers: headers.update({"x-amzn-transcribe-language-code": "de-DE"}), "InvalidSignatureException"),
        (lambda headers: headers.update({"x-amz-date": "20200101T000000Z"}), "InvalidSignatureException"),
        (lambda headers: headers.pop("x-amz-date"), "InvalidSignatureException"),
        (
            lambda headers: headers.update(authorization=headers["authorization"].replace("eu-west-1", "us-east-1")),
            "InvalidSignatureException",
        ),
        (
            lambda headers: headers.update(authorization=headers["authorization"].replace("/transcribe/", "/s3/")),
            "InvalidSignatureException",
        ),
        (lambda headers: headers.update(host="elsewhere"), "InvalidSignatureException"),
    ],
)
async def test_refuses_a_request_whose_signature_is_not_its_own(
    service: Service, connect: ConnectRaw, change: Change, name: str
) -> None:
    client = await connect(service)
    headers = client.request(options())
    change(headers)
    client.start(headers)
    await client.until(lambda: client.end)
    assert (client.status, client.headers["x-amzn-errortype"]) == (403, f"{name}:")
    assert service.requests[0].exception == name


async def test_refuses_an_old_request(connect: ConnectRaw) -> None:
    async with Service(rate=300) as service:
        client = await connect(service)
        headers = client.request(options())
        # On this clock five minutes take one second. Another second is the resolution of the header's date.
        await asyncio.sleep(2.1)
        client.start(headers)
        await client.until(lambda: client.end)
        assert (client.status, client.headers["x-amzn-errortype"]) == (403, "InvalidSignatureException:")
        assert b"Signature expired" in client.body
        # The service accepts a fresh signature.
        assert (await (await connect(service)).begin()).status == 200


async def test_accepts_a_signed_authority_instead_of_a_host(service: Service, connect: ConnectRaw) -> None:
    client = await connect(service)
    names = ";".join(sorted([":authority", "x-amz-date", *options()]))
    date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    headers = {":authority": "localhost", "x-amz-date": date, **options()}
    lines = ["POST", "/stream-transcription", "", *(f"{name}:{headers[name]}" for name in names.split(";")), "", names]
    canonical = "\n".join([*lines, hashlib.sha256(b"").hexdigest()])
    scope = f"{date[:8]}/{client.region}/transcribe/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = signing_key(client.credentials.secret_access_key, date[:8], client.region)
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"Credential={client.credentials.access_key_id}/{scope}"
    del headers[":authority"]
    headers["authorization"] = f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={names}, Signature={signature}"
    client.start(headers)
    await client.until(lambda: client.status)
    assert client.status == 200


async def test_refuses_a_request_that_signs_neither_host_nor_authority(service: Service, connect: ConnectRaw) -> None:
    client = await connect(service)
    headers = client.request(options())
    headers["authorization"] = headers["authorization"].replace("host;", "")
    client.start(headers)
    await client.until(lambda: client.end)
    assert (client.status, client.headers["x-amzn-errortype"]) == (403, "InvalidSignatureException:")
    assert b"':authority'" in client.body


async def test_without_verification_any_signature_is_accepted(connect: ConnectRaw) -> None:
    async with Service(verify=False) as service:
        client = await connect(service)
        client.start({"host": "localhost", **options()})
        await client.until(lambda: client.status)
        assert client.status == 200
