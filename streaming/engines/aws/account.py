"""Finds the credentials, region and endpoint for Amazon Transcribe in the same places as AWS's own tools.

`engine.py` reads the region and the endpoint; `session.py` resolves an `Account` for each stream.
"""

import logging
import os
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings

from streaming.engines.base import EngineError

logger = logging.getLogger(__name__)

SERVICE = "transcribestreaming"  # the service's name in AWS's list of endpoints


@dataclass(frozen=True)
class Account:
    """Credentials, region and endpoint of one stream. The next stream resolves them again, so renewed keys are used."""

    region: str
    endpoint: str
    ca_file: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)

    @property
    def key(self) -> str:
        """The access key id, shortened for messages: it identifies the key without disclosing it."""
        return f"{self.access_key_id[:4]}…{self.access_key_id[-4:]}"


def region() -> str:
    """Return the region, or "" if none is configured. Each process reads AWS's files only once."""
    if settings.AWS_REGION:
        return settings.AWS_REGION
    names = ("AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_CONFIG_FILE")
    return _region_elsewhere(*(os.environ.get(name, "") for name in names))


@lru_cache(maxsize=8)
def _region_elsewhere(region: str, profile: str, config_file: str) -> str:
    if region:
        return region
    if not profile and not Path(config_file or "~/.aws/config").expanduser().exists():
        return ""  # avoid importing AWS's library, which most sites never need
    from botocore.exceptions import BotoCoreError  # imported late, as in `_session`

    try:
        return _session().get_config_variable("region") or ""
    except BotoCoreError as error:
        logger.warning("Could not read the AWS configuration files: %s", error)
        return ""


def _session() -> Any:
    import botocore.session  # imported late: it is large, and sites without AWS never need it

    return botocore.session.Session()


def endpoint(region: str) -> str:
    """Return the endpoint from the settings, or else the region's standard endpoint, as AWS's tools choose it.

    AWS_USE_FIPS_ENDPOINT and AWS_USE_DUALSTACK_ENDPOINT, or the same settings of a profile, select a variant. Reads
    AWS's files, so it blocks. Raises `EngineError` if they can't be read or the region has no such variant.
    """
    if settings.AWS_ENDPOINT_URL_TRANSCRIBE_STREAMING:
        address: str = settings.AWS_ENDPOINT_URL_TRANSCRIBE_STREAMING
        return address
    from botocore.exceptions import BotoCoreError  # imported late, as in `_session`

    session = _session()
    try:
        names = ("use_fips_endpoint", "use_dualstack_endpoint")
        wanted = {name: session.get_config_variable(name) for name in names}
        found = _endpoints().construct_endpoint(SERVICE, region, **wanted)
    except BotoCoreError as error:
        raise EngineError(
            f"The AWS configuration files can't be read. Correct them or remove them: {error}", permanent=True
        ) from error
    if not found and any(wanted.values()):
        advice = "Unset AWS_USE_FIPS_ENDPOINT and AWS_USE_DUALSTACK_ENDPOINT, or set another AWS_REGION."
        raise EngineError(f"Amazon Transcribe has no FIPS or dual-stack endpoint in {region}. {advice}", permanent=True)
    # A region that botocore does not list may be newer than the library. Its endpoint probably has the usual form.
    return f"https://{found['hostname'] if found else f'{SERVICE}.{region}.amazonaws.com'}"


@lru_cache(maxsize=1)
def _endpoints() -> Any:
    """Return botocore's list of AWS's endpoints. Cached, because parsing this large file is slow."""
    from botocore.regions import EndpointResolver  # imported late, as in `_session`

    return EndpointResolver(_session().get_data("endpoints"))


def resolve_account() -> Account:
    """Return an account with fresh credentials. Blocks: AWS's library may fetch keys over the network.

    Raises `EngineError` if the region or the credentials are missing, or if AWS refuses to issue credentials.
    """
    where = region()
    if not where:
        raise EngineError(
            "No region is configured for Amazon Transcribe. Set AWS_REGION, e.g. eu-west-1.", permanent=True
        )
    from botocore.exceptions import (  # imported late, as in `_session`
        BotoCoreError,
        ClientError,
        CredentialRetrievalError,
        HTTPClientError,
        MetadataRetrievalError,
    )

    try:
        # A new session for each stream, because files and environment variables may have changed.
        found = _session().get_credentials()
        keys = found and found.get_frozen_credentials()
    except (BotoCoreError, ClientError) as error:
        is_transient = isinstance(error, HTTPClientError | CredentialRetrievalError | MetadataRetrievalError)
        raise EngineError(f"Could not get AWS credentials: {error}", permanent=not is_transient) from error
    if not keys or not keys.access_key:
        raise EngineError(
            "No AWS credentials are configured. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, set AWS_PROFILE, or "
            "give the server an IAM role.",
            permanent=True,
        )
    return Account(
        region=where,
        endpoint=endpoint(where),
        ca_file=settings.AWS_CA_BUNDLE,
        access_key_id=keys.access_key,
        secret_access_key=keys.secret_key,
        session_token=keys.token,
    )
