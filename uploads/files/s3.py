"""Recordings in a bucket: Amazon S3, or a service with its API. The settings choose it; `storage.py` reads from it.

Clients wait and retry within limits. A failure that a retry could cure is then a `StorageAway`: uploads are refused,
jobs wait. A failure that would come again is a `StorageRefused`: a job ends with its sentence. So callers need to know
nothing of S3's errors.
"""

import errno
import logging
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import wraps
from typing import Any, TypeVar

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.utils.deconstruct import deconstructible
from storages.backends.s3 import S3Storage

from uploads.files.storage import INCOMPLETE, StorageAway, StorageRefused

logger = logging.getLogger(__name__)

Value = TypeVar("Value")

CONNECT_SECONDS, READ_SECONDS = 3.0, 20.0  # of one attempt: whoever waits is a person, or a job that can wait better
ATTEMPTS = 3
# A request's body in parts, two on their way at once: 16 MiB of memory for a file of any size.
PARTS = TransferConfig(multipart_threshold=8 * 1024**2, multipart_chunksize=8 * 1024**2, max_concurrency=2)

ASK = "Ask your administrator to check the bucket"
DENIED = f"The storage denies access to this recording ({{code}}). {ASK}'s permissions."
SENTENCES = {
    "AccessDenied": DENIED,
    "403": DENIED,  # an answer without a body
    "InvalidObjectState": f"The file of this recording is archived in the storage ({{code}}). {ASK}: restore it first.",
    "InvalidRange": INCOMPLETE,
    "NoSuchBucket": f"The bucket of the recordings does not exist ({{code}}). {ASK}'s name.",
}
REFUSED = f"The storage refuses this recording ({{code}}). {ASK}."
# Answers of the 4xx kind that a later request may not get: limits, clocks, and keys that are about to be renewed.
PASSING_STATUSES = frozenset({408, 409, 425, 429})
PASSING_CODES = frozenset(
    {
        "BandwidthLimitExceeded",
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestLimitExceeded",
        "RequestTimeTooSkewed",
        "RequestTimeout",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TokenRefreshRequired",
        "TooManyRequests",
    }
)


# MinIO's and Ceph's codes for disks, buckets and accounts with no room left; the status of such an answer varies.
FULL_CODES = frozenset({"XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded"})


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Raise `FileNotFoundError` for an object that isn't there, `StorageRefused` or `StorageAway` for other errors.

    A full bucket is an `OSError`, as a full disk is.
    """
    try:
        yield
    except (BotoCoreError, ClientError, Boto3Error) as error:
        code = error_code(error)
        if code in ("NoSuchKey", "NoSuchVersion"):
            raise FileNotFoundError(f"There is no {name} in the bucket.") from error
        if code in FULL_CODES:
            raise OSError(errno.ENOSPC, f"The bucket is full ({code})") from error
        if is_permanent(error):
            logger.warning("A request to the bucket for %s failed: %s", name, error)
            raise StorageRefused(SENTENCES.get(code, REFUSED).format(code=code)) from error
        # With the error: the log says once in ten seconds that the storage is away (`streaming/outages.py`).
        logger.warning("A request to the bucket for %s failed", name, exc_info=error)
        raise StorageAway from error


def is_permanent(error: Exception) -> bool:
    """Return whether the same request would fail again: the service has understood and refused it."""
    cause = refusal_in(error)
    if cause is None:
        return False
    status = cause.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
    return 400 <= status < 500 and status not in PASSING_STATUSES and error_code(error) not in PASSING_CODES


def refusal_in(error: BaseException | None) -> ClientError | None:
    """Return the service's own answer in an error, which an upload in parts wraps; None where there was none."""
    while error is not None and not isinstance(error, ClientError):
        error = error.__cause__ or error.__context__
    return error


def error_code(error: Exception) -> str:
    cause = refusal_in(error)
    return "" if cause is None else str(cause.response.get("Error", {}).get("Code", ""))


def translating(method: Callable[..., Value]) -> Callable[..., Value]:
    """Return a method of a storage that raises as `translated` says; its first argument is a name."""

    @wraps(method)
    def call(self: "BucketStorage", name: str, *args: Any) -> Value:
        with translated(name):
            return method(self, name, *args)

    return call


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

    @translating
    def read_part(self, name: str, start: int, stop: int) -> bytes:
        """Return the bytes of an object from `start` up to, not with, `stop`. Raises as `translated` says."""

        def read() -> bytes:
            given = self._client().get_object(Bucket=self.bucket_name, Key=name, Range=f"bytes={start}-{stop - 1}")
            # Entered as a context of its own it would be the raw stream, with errors that nobody translates.
            with closing(given["Body"]) as body:
                content: bytes = body.read()
            return content

        return insist(read)

    def check(self) -> None:
        """Ask whether the bucket is there and ours. Raises `StorageAway`."""
        with translated("the bucket itself"):
            self._client().head_bucket(Bucket=self.bucket_name)

    _save = translating(S3Storage._save)
    delete = translating(S3Storage.delete)
    listdir = translating(S3Storage.listdir)
    get_modified_time = translating(S3Storage.get_modified_time)

    @translating
    def size(self, name: str) -> int:
        """Return the bytes of an object. Raises as `translated` says."""
        try:
            return int(self._client().head_object(Bucket=self.bucket_name, Key=name)["ContentLength"])
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:  # HEAD has no body to name the error
                raise FileNotFoundError(f"There is no {name} in the bucket.") from error
            raise

    def _client(self) -> Any:
        return self.bucket.meta.client  # which threads may share


def insist(read: Callable[[], bytes]) -> bytes:
    """Return what `read` does: botocore itself tries again what fails before an answer, and not what is cut in it."""
    for _ in range(ATTEMPTS - 1):
        try:
            return read()
        except BotoCoreError as error:
            logger.info("An answer of the bucket broke off; asking again", exc_info=error)
    return read()
