"""Recordings in a bucket: Amazon S3, or whatever speaks like it. The settings choose it; `contents.py` reads from it.

Clients wait and try again within limits; what fails then is a `StorageAway`, so that callers need to know nothing
of S3's errors: uploads are refused, jobs wait, and nothing is lost.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.core.files import File
from django.utils.deconstruct import deconstructible
from storages.backends.s3 import S3Storage

from uploads.contents import StorageAway

logger = logging.getLogger(__name__)

CONNECT_SECONDS, READ_SECONDS = 3.0, 20.0  # of one attempt: whoever waits is a person, or a job that can wait better
ATTEMPTS = 3
# A request's body in parts, two on their way at once: 16 MiB of memory for a file of any size.
PARTS = TransferConfig(multipart_threshold=8 * 1024**2, multipart_chunksize=8 * 1024**2, max_concurrency=2)


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Raise `FileNotFoundError` for an object that isn't there, and `StorageAway` for everything else."""
    try:
        yield
    except (BotoCoreError, ClientError, Boto3Error) as error:
        if isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") == "NoSuchKey":
            raise FileNotFoundError(f"There is no {name} in the bucket.") from error
        logger.warning("The bucket does not do what it is asked to with %s: %s", name, error)
        raise StorageAway from error


@deconstructible
class BucketStorage(S3Storage):
    """django-storages', with AWS's own chain of credentials, limits on waiting, and errors that are ours.

    `endpoint_url` is for others than Amazon. What they all have is asked for: the bucket in the path, and no checksums
    that only Amazon knows.
    """

    def __init__(self, **options: Any) -> None:
        others = {
            "s3": {"addressing_style": "path"},
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
        }
        config = Config(
            signature_version="s3v4",
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            max_pool_connections=32,
            **others if options.get("endpoint_url") else {},
        )
        super().__init__(client_config=config, transfer_config=PARTS, **options)

    def _create_session(self) -> boto3.Session:
        return boto3.Session()  # environment, profile, role of the machine: in the order that AWS's own tools have

    def read_part(self, name: str, start: int, stop: int) -> bytes:
        """Return the bytes of an object from `start` up to, not with, `stop`. Raises as `translated` says."""

        def read() -> bytes:
            given = self._client().get_object(Bucket=self.bucket_name, Key=name, Range=f"bytes={start}-{stop - 1}")
            # Entered as a context of its own it would be the raw stream, with errors that nobody translates.
            with closing(given["Body"]) as body:
                content: bytes = body.read()
            return content

        with translated(name):
            return insist(read)

    def check(self) -> None:
        """Ask whether the bucket is there and ours. Raises `StorageAway`."""
        with translated("the bucket itself"):
            self._client().head_bucket(Bucket=self.bucket_name)

    def _save(self, name: str, content: File) -> str:
        with translated(name):
            saved: str = super()._save(name, content)
        return saved

    def delete(self, name: str) -> None:
        with translated(name):
            super().delete(name)

    def listdir(self, name: str) -> tuple[list[str], list[str]]:
        with translated(name):
            found: tuple[list[str], list[str]] = super().listdir(name)
        return found

    def get_modified_time(self, name: str) -> datetime:
        with translated(name):
            modified_at: datetime = super().get_modified_time(name)
        return modified_at

    def _client(self) -> Any:
        return self.bucket.meta.client  # which threads may share


def insist(read: Callable[[], bytes]) -> bytes:
    """Return what `read` does: botocore itself tries again what fails before an answer, and not what is cut in it."""
    for _ in range(ATTEMPTS - 1):
        try:
            return read()
        except BotoCoreError as error:
            logger.info("An answer of the bucket broke off; asking again: %s", error)
    return read()
