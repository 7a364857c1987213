"""Finds credentials, region and address of Amazon Transcribe as AWS's own tools find them."""

import logging
import os
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings

from streaming.engines.base import EngineError

logger = logging.getLogger(__name__)

SERVICE = "transcribestreaming"  # in AWS's list of endpoints


@dataclass(frozen=True)
class Account:
    """What a stream is opened with. The same for all of it; the next stream looks again."""

    region: str
    endpoint: str
    ca_file: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)

    @property
    def key(self) -> str:
        """The key as it may be shown: enough to tell which it is."""
        return f"{self.access_key_id[:4]}…{self.access_key_id[-4:]}"


def region() -> str:
    """Return the region, or nothing where none is set up. What AWS's files say is read once a process."""
    if settings.AWS_REGION:
        return settings.AWS_REGION
    names = ("AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_CONFIG_FILE")
    return _region_elsewhere(*(os.environ.get(name, "") for name in names))


@lru_cache(maxsize=8)
def _region_elsewhere(region: str, profile: str, config_file: str) -> str:
    if region:
        return region
    if not profile and not Path(config_file or "~/.aws/config").expanduser().exists():
        return ""  # without the cost of AWS's library, which most sites never need
    from botocore.exceptions import BotoCoreError  # large, as below

    try:
        return _session().get_config_variable("region") or ""
    except BotoCoreError as error:
        logger.warning("AWS's files can't be read: %s", error)
        return ""


def _session() -> Any:
    import botocore.session  # large, and of no use to a site without AWS

    return botocore.session.Session()


def endpoint(region: str) -> str:
    """Return the address that is set, or else the region's own, as AWS's tools find it.

    AWS_USE_FIPS_ENDPOINT and AWS_USE_DUALSTACK_ENDPOINT, or the same settings of a profile, choose a variant. Reads
    AWS's files. Raises `EngineError` where the region has no such variant.
    """
    if settings.AWS_ENDPOINT_URL_TRANSCRIBE_STREAMING:
        address: str = settings.AWS_ENDPOINT_URL_TRANSCRIBE_STREAMING
        return address
    from botocore.exceptions import BotoCoreError  # large, as above

    session = _session()
    try:
        names = ("use_fips_endpoint", "use_dualstack_endpoint")
        wanted = {name: session.get_config_variable(name) for name in names}
        found = _endpoints().construct_endpoint(SERVICE, region, **wanted)
    except BotoCoreError as error:
        raise EngineError(f"AWS's files can't be read: {error}", permanent=True) from error
    if not found and any(wanted.values()):
        advice = "Unset AWS_USE_FIPS_ENDPOINT and AWS_USE_DUALSTACK_ENDPOINT, or set another AWS_REGION."
        raise EngineError(f"Amazon Transcribe has no such address in {region}. {advice}", permanent=True)
    # A region of a partition that is newer than botocore: most have addresses of this form.
    return f"https://{found['hostname'] if found else f'{SERVICE}.{region}.amazonaws.com'}"


@lru_cache(maxsize=1)
def _endpoints() -> Any:
    """Return botocore's list of AWS's partitions and endpoints, a large file."""
    from botocore.regions import EndpointResolver  # as above

    return EndpointResolver(_session().get_data("endpoints"))


def resolve() -> Account:
    """Return fresh credentials and where to go. Blocks: keys may be fetched over the network.

    Raises `EngineError`: where something is not set up, or nobody would give a key.
    """
    where = region()
    if not where:
        raise EngineError("Amazon Transcribe has no region here. Set AWS_REGION, as in eu-west-1.", permanent=True)
    from botocore.exceptions import (  # as above
        BotoCoreError,
        ClientError,
        CredentialRetrievalError,
        HTTPClientError,
        MetadataRetrievalError,
    )

    try:
        # A new session each time: files and variables may have changed.
        found = _session().get_credentials()
        keys = found and found.get_frozen_credentials()
    except (BotoCoreError, ClientError) as error:
        passes = isinstance(error, HTTPClientError | CredentialRetrievalError | MetadataRetrievalError)
        raise EngineError(f"AWS gave no credentials: {error}", permanent=not passes) from error
    if not keys or not keys.access_key:
        raise EngineError(
            "There are no AWS credentials here. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give "
            "the machine a role.",
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
