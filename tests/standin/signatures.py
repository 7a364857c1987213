"""Verifies signatures like the service: a request's (AWS Signature Version 4) and the chain of its chunks' signatures.

Source: "Signing AWS API requests" and "Event stream encoding" in AWS's documents.
"""

import calendar
import functools
import hmac
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from tests.standin.clock import Clock
from tests.standin.messages import DATE, HeaderValue
from tests.standin.requests import ServiceError

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "transcribe"
EMPTY_HASH = sha256(b"").hexdigest()
VALID_SECONDS = 300.0
MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)
_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} Credential=([^/,\s]+)/(\d{{8}})/([^/]+)/([^/]+)/aws4_request, ?"
    r"SignedHeaders=([a-z0-9:;-]+), ?Signature=([0-9a-f]{64})"
)


@dataclass
class Key:
    """An access key of the service. A test may change it at any time."""

    secret: str
    session_token: str = ""
    is_expired: bool = False
    may_transcribe: bool = True


@functools.lru_cache(maxsize=1024)
def signing_key(secret: str, day: str, region: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, SERVICE, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


@functools.lru_cache(maxsize=1024)
def stamp(second: int) -> str:
    """Return a date (seconds since 1970) in the format of signatures."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))


def check_age(date: float, moment: float, clock: Clock, name: str, *, grain_seconds: float = 0.0) -> None:
    """Refuse a signature dated `date` that at `moment` of the service's clock is more than five minutes old.

    `grain_seconds` (real time) is the resolution of the date; it extends the limit on both sides.
    """
    if moment - clock.of_date(date + grain_seconds) > VALID_SECONDS:
        used = clock.date(moment)
        limit = stamp(int(used - VALID_SECONDS / clock.rate))
        raise ServiceError(
            name, f"Signature expired: {stamp(int(date))} is now earlier than {limit} ({stamp(int(used))} - 5 min.)"
        )
    if clock.of_date(date - grain_seconds) - moment > VALID_SECONDS:
        raise ServiceError(
            name, f"Signature not yet current: {stamp(int(date))} is still later than {stamp(int(clock.date(moment)))}"
        )


class Chain:
    """Verifies the signatures of one stream's chunks. Each signature includes the previous one."""

    def __init__(self, secret: str, region: str, first: bytes) -> None:
        # Kept for the whole stream: a change or an expiry of the key does not affect it.
        self._secret = secret
        self._region = region
        self._prior = first

    def check(self, headers: Mapping[str, HeaderValue], payload: bytes) -> float:
        """Return the date of the next chunk (seconds since 1970). Raises ServiceError for a broken chain."""
        date, signature = headers.get(":date"), headers.get(":chunk-signature")
        if not isinstance(date, int) or not isinstance(signature, bytes):
            raise ServiceError("BadRequestException", MISMATCH)
        text = stamp(date // 1000)
        string_to_sign = "\n".join(
            (
                f"{ALGORITHM}-PAYLOAD",
                text,
                f"{text[:8]}/{self._region}/{SERVICE}/aws4_request",
                self._prior.hex(),
                sha256(b"\x05:date\x08" + DATE.pack(date)).hexdigest(),
                sha256(payload).hexdigest(),
            )
        )
        key = signing_key(self._secret, text[:8], self._region)
        if not hmac.compare_digest(signature, hmac.digest(key, string_to_sign.encode(), "sha256")):
            raise ServiceError("BadRequestException", MISMATCH)
        self._prior = signature
        return date / 1000


def verify(
    method: str, path: str, headers: Mapping[str, str], keys: Mapping[str, Key], region: str, clock: Clock
) -> Chain:
    """Return the chain that begins with a request's signature. Raises ServiceError with the service's message.

    `headers` have lower-case names, with HTTP/2's authority as `host`.
    """
    if "authorization" not in headers:
        raise ServiceError("MissingAuthenticationTokenException", "Missing Authentication Token")
    found = _AUTHORIZATION.fullmatch(headers["authorization"])
    if not found:
        raise ServiceError("IncompleteSignatureException", "Authorization header is not in the form of a signature.")
    key_id, day, signed_region, service, signed_names, signature = found.groups()
    # 1. Find the key.
    key = keys.get(key_id)
    if key is None or headers.get("x-amz-security-token", "") != key.session_token:
        raise ServiceError("UnrecognizedClientException", "The security token included in the request is invalid.")
    if key.is_expired:
        raise ServiceError("ExpiredTokenException", "The security token included in the request is expired")
    # 2. Check that it is signed for this service, region and time.
    if service != SERVICE:
        raise _invalid(f"Credential should be scoped to correct service: '{SERVICE}'.")
    if signed_region != region:
        raise _invalid("Credential should be scoped to a valid region.")
    date = headers.get("x-amz-date", "")
    names = signed_names.split(";")
    # On HTTP/2 a client may sign `:authority` instead of `host`, as AWS's SDK for JavaScript does.
    names_host = "host" in names or ":authority" in names
    if not re.fullmatch(r"\d{8}T\d{6}Z", date) or not names_host or not {"x-amz-date"} <= set(names) <= set(headers):
        raise _invalid(
            "'Host' or ':authority', and 'x-amz-date' must be among the signed headers, and each signed header be sent."
        )
    if date[:8] != day:
        raise _invalid("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.")
    seconds = _seconds(date)
    # The header's date has a resolution of a second, which is long on a fast clock.
    check_age(seconds, clock.now(), clock, "InvalidSignatureException", grain_seconds=1.0)
    # 3. Check the signature.
    bare_path, _, query = path.partition("?")
    canonical = "\n".join(
        (
            method,
            bare_path,
            query,
            *(f"{name}:{' '.join(headers[name].split())}" for name in names),
            "",
            signed_names,
            headers.get("x-amz-content-sha256", EMPTY_HASH),
        )
    )
    scope = f"{day}/{region}/{SERVICE}/aws4_request"
    string_to_sign = "\n".join((ALGORITHM, date, scope, sha256(canonical.encode()).hexdigest()))
    expected = hmac.digest(signing_key(key.secret, day, region), string_to_sign.encode(), "sha256")
    if not hmac.compare_digest(expected.hex(), signature):
        raise _invalid(MISMATCH)
    # 4. Check that the key is active and has the permission.
    if not key.may_transcribe:
        raise ServiceError(
            "AccessDeniedException",
            "User: arn:aws:iam::123456789012:user/standin is not authorized to perform: "
            "transcribe:StartStreamTranscription because no identity-based policy allows the "
            "transcribe:StartStreamTranscription action",
        )
    return Chain(key.secret, region, bytes.fromhex(signature))


def _invalid(message: str) -> ServiceError:
    return ServiceError("InvalidSignatureException", message)


def _seconds(date: str) -> int:
    try:
        return calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        raise _invalid("Date must be in ISO-8601 'basic format'.") from None
