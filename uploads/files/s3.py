"""The storage of recordings in a bucket of Amazon S3 or of a service with the same API.

The settings choose this storage, and `storage.py` reads from it. The S3 client has timeouts and retries a few times. If
all tries fail, the storage raises one of two exceptions, so that callers need no knowledge of S3. `StorageAway` means
that a later retry may succeed: the site refuses uploads and jobs wait. `StorageRefused` means that every retry would
fail: a job fails with the sentence of the exception. A missing object and a full bucket raise the same errors as a
missing file and a full disk.
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

# Timeouts of one attempt. They are short: a person may be waiting for the response, and a job can retry later.
CONNECT_SECONDS, READ_SECONDS = 3.0, 20.0
ATTEMPTS = 3
# Uploads go in parts of 8 MiB, two at a time, so that a file of any size needs 16 MiB of memory.
PARTS = TransferConfig(multipart_threshold=8 * 1024**2, multipart_chunksize=8 * 1024**2, max_concurrency=2)

ASK = "Ask your administrator to check the bucket"
DENIED = f"The storage denies access to this recording ({{code}}). {ASK}'s permissions."
SENTENCES = {
    "AccessDenied": DENIED,
    "403": DENIED,  # the response to a HEAD request has no body, so botocore uses the status as the code
    "InvalidObjectState": "This recording is archived in the storage ({code}). Ask your administrator to restore it.",
    "InvalidRange": INCOMPLETE,
    "NoSuchBucket": f"The bucket of the recordings does not exist ({{code}}). {ASK}'s name.",
}
REFUSED = f"The storage refuses this recording ({{code}}). {ASK}."
# Errors with a 4xx status after which a retry may succeed: rate limits, clock skew, and expired keys that AWS renews.
TRANSIENT_STATUSES = frozenset({408, 409, 425, 429})
TRANSIENT_CODES = frozenset(
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


# The codes of MinIO and Ceph for a full disk and for an exhausted quota. Their HTTP statuses vary.
FULL_CODES = frozenset({"XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded"})


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Translate S3 errors in the body of the `with` statement; `name` is the object's name for messages.

    Raises `FileNotFoundError` for an object that does not exist, `OSError` (ENOSPC) for a full bucket as for a full
    disk, and `StorageRefused` or `StorageAway` for other errors.
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
        # The record carries the error: `streaming/outages.py` uses it to log an outage only once in ten seconds.
        logger.warning("A request to the bucket for %s failed", name, exc_info=error)
        raise StorageAway from error


def is_permanent(error: Exception) -> bool:
    """Return whether the same request would fail again: the service understood the request and refused it."""
    cause = refusal_in(error)
    if cause is None:
        return False
    status = cause.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
    return 400 <= status < 500 and status not in TRANSIENT_STATUSES and error_code(error) not in TRANSIENT_CODES


def refusal_in(error: BaseException | None) -> ClientError | None:
    """Return the error response of the service, or None if the service sent none.

    A multipart upload wraps the error, so the causes are searched too.
    """
    while error is not None and not isinstance(error, ClientError):
        error = error.__cause__ or error.__context__
    return error


def error_code(error: Exception) -> str:
    """Return S3's error code, such as `NoSuchKey`; empty if the service sent no error response."""
    cause = refusal_in(error)
    return "" if cause is None else str(cause.response.get("Error", {}).get("Code", ""))


def translating(method: Callable[..., Value]) -> Callable[..., Value]:
    """Wrap a method of a storage so that it raises the exceptions of `translated`. Its first argument is a name."""

    @wraps(method)
    def call(self: "BucketStorage", name: str, *args: Any) -> Value:
        with translated(name):
            return method(self, name, *args)

    return call


@deconstructible
class BucketStorage(S3Storage):
    """The S3 storage of django-storages with AWS's default credential chain, timeouts and translated errors.

    `endpoint_url` is set for services other than Amazon. For those the client puts the bucket into the path and sends
    no optional checksums, because not every service supports virtual hosts and these checksums.
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
        # The default credential chain: environment, profile, then the role of the machine, as in AWS's own tools.
        return boto3.Session()

    @translating
    def read_part(self, name: str, start: int, stop: int) -> bytes:
        """Return the bytes of an object from `start` (included) to `stop` (excluded). Raises as `translated`."""

        def read() -> bytes:
            given = self._client().get_object(Bucket=self.bucket_name, Key=name, Range=f"bytes={start}-{stop - 1}")
            # `closing`, because the body's own context manager gives the raw urllib3 stream, whose errors are not
            # botocore's and would not be translated.
            with closing(given["Body"]) as body:
                content: bytes = body.read()
            return content

        return read_with_retries(read)

    def check(self) -> None:
        """Check that the bucket exists and that our credentials can use it. Raises `StorageAway`."""
        with translated("the bucket itself"):
            self._client().head_bucket(Bucket=self.bucket_name)

    _save = translating(S3Storage._save)
    delete = translating(S3Storage.delete)
    listdir = translating(S3Storage.listdir)
    get_modified_time = translating(S3Storage.get_modified_time)

    @translating
    def size(self, name: str) -> int:
        """Return the size of an object in bytes. Raises as `translated`."""
        try:
            return int(self._client().head_object(Bucket=self.bucket_name, Key=name)["ContentLength"])
        except ClientError as error:
            # The response to HEAD has no body, so there is no error code to look at.
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                raise FileNotFoundError(f"There is no {name} in the bucket.") from error
            raise

    def _client(self) -> Any:
        return self.bucket.meta.client  # threads may share a client, but not a bucket resource


def read_with_retries(read: Callable[[], bytes]) -> bytes:
    """Call `read`, with retries when the response body breaks off, and return its result.

    botocore retries only failures before the response begins.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return read()
        except BotoCoreError as error:
            logger.info("The bucket's response broke off; retrying", exc_info=error)
    return read()
