"""Fixtures: clients of the stand-in (the real SDK, and one that can violate rules), closed after each test."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from amazon_transcribe.auth import StaticCredentialResolver
from amazon_transcribe.client import TranscribeStreamingClient
from amazon_transcribe.endpoints import StaticEndpointResolver
from awscrt import io
from awscrt.exceptions import AwsCrtError

from streaming.engines.scripted import encode_number
from tests.standin import Service
from tests.standin.client import RawClient

ConnectRaw = Callable[[Service], Awaitable[RawClient]]
MakeSdk = Callable[..., TranscribeStreamingClient]


def speech(*numbers: int | None, sample_rate: int = 16_000) -> bytes:
    """Return PCM that encodes numbers, half a second each; None is silence."""
    silence = bytes(2 * round(sample_rate / 2))
    return b"".join(silence if number is None else encode_number(number, sample_rate).tobytes() for number in numbers)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with Service(rate=50.0) as service:
        yield service


@pytest.fixture
async def connect() -> AsyncIterator[ConnectRaw]:
    clients = []

    async def connect(service: Service) -> RawClient:
        clients.append(await RawClient.connect(service.environ))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()
    await asyncio.sleep(0)


@pytest.fixture
async def sdk() -> AsyncIterator[MakeSdk]:
    """Creates clients of the real SDK as its documentation does, except for the address and the trusted certificate."""
    clients = []

    def sdk(service: Service, **credentials: Any) -> TranscribeStreamingClient:
        environ = service.environ
        known = {
            "access_key_id": environ["AWS_ACCESS_KEY_ID"],
            "secret_access_key": environ["AWS_SECRET_ACCESS_KEY"],
            "session_token": environ.get("AWS_SESSION_TOKEN"),
        }
        client = TranscribeStreamingClient(
            region=environ["AWS_REGION"],
            endpoint_resolver=StaticEndpointResolver(service.url),
            credential_resolver=StaticCredentialResolver(**known | credentials),
        )
        trust = io.TlsContextOptions()
        trust.override_default_trust_store_from_path(None, service.ca_file)
        client._session_manager._tls_ctx = io.ClientTlsContext(trust)
        clients.append(client)
        return client

    yield sdk
    for client in clients:
        for connection in client._session_manager._connections.values():
            with contextlib.suppress(AwsCrtError):  # how the stream ended, if the service ended it
                await asyncio.wait_for(asyncio.wrap_future(connection.close()), 60)
