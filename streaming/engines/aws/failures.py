"""Converts each failure of Amazon Transcribe into an `EngineError`. `session.py` calls it.

The message is a sentence for the user and names the remedy. The error is permanent if another stream would fail in the
same way.
"""

import ssl
from http import HTTPStatus

from streaming.engines.aws.account import Account
from streaming.engines.aws.messages import MalformedAnswer, ServiceError
from streaming.engines.base import EngineBusy, EngineError

WAITING = "Waiting for a free Amazon Transcribe stream."

# Error codes that concern the credentials, and the rest of the message for each. A retry does not help with any.
KEY_FAILURES = {
    "ExpiredTokenException": "the key has expired. Renew the credentials, then try again.",
    "UnrecognizedClientException": "the key is unknown. Check AWS_ACCESS_KEY_ID (and AWS_SESSION_TOKEN).",
    "InvalidClientTokenId": "the key is unknown. Check AWS_ACCESS_KEY_ID (and AWS_SESSION_TOKEN).",
    "InvalidSignatureException": "the secret does not match the key, or this server's clock is wrong. "
    "Check AWS_SECRET_ACCESS_KEY and the clock.",
    "SignatureDoesNotMatch": "the secret does not match the key. Check AWS_SECRET_ACCESS_KEY.",
    "AccessDeniedException": "the key lacks a permission. Allow it transcribe:StartStreamTranscription.",
    "MissingAuthenticationTokenException": "the request was not signed. Check HTTPS_PROXY.",
    "OptInRequired": "the account is not signed up for the service. Sign up in the AWS console.",
    "SubscriptionRequiredException": "the account is not signed up for the service. Sign up in the AWS console.",
}

# Parts of error codes that the service sends with status 400 although a retry may succeed.
TRANSIENT_CODES = ("Throttl", "TooManyRequests", "RequestTimeout", "SlowDown")
TRANSIENT_STATUSES = (408, 421, 425, 429)  # 421: another connection may reach a server that serves this host name

# Parts of messages with which the service refuses audio, not the request. Another stream sends the audio again, and may
# succeed.
TRANSIENT_REFUSALS = ("no new audio was received", "signature expired", "stream is too big")

REFUSALS = ("BadRequestException", "ValidationException")
FAILURES = (
    "ConflictException",
    "InternalFailureException",
    "InternalServerException",
    "LimitExceededException",
    "SerializationException",
    "ServiceUnavailableException",
)


def failure(error: BaseException, account: Account, *, is_open: bool) -> EngineError:
    """Return the `EngineError` for an error of a stream. `is_open`: the service had accepted the stream.

    Raises `error` itself if it is none of the expected kinds, since that is a fault in this program.
    """
    place = f"Amazon Transcribe in {account.region}"
    match error:
        case EngineError():
            return error
        case ServiceError():
            return _reported(error, account, place, is_open=is_open)
        case ssl.SSLCertVerificationError():
            text = (
                f"The certificate of {account.endpoint} is not trusted ({error.verify_message}). Check "
                "AWS_ENDPOINT_URL_TRANSCRIBE_STREAMING and AWS_CA_BUNDLE."
            )
            return EngineError(text, permanent=True)
        case TimeoutError():
            return EngineError(f"{place} did not answer in time. Try again later.", permanent=False)
        case OSError():
            advice = "Check the network, then try again."
            return EngineError(f"The connection to {place} failed: {error}. {advice}", permanent=False)
        case MalformedAnswer():
            text = f"{place} sent an answer that can't be read: {error}. Try again later."
            return EngineError(text, permanent=False)
    raise error


def _reported(error: ServiceError, account: Account, place: str, *, is_open: bool) -> EngineError:
    """Return the `EngineError` for an error that the service reported."""
    code, status = error.code, error.status
    is_transient = (
        any(words in error.message.lower() for words in TRANSIENT_REFUSALS)
        or any(part in code for part in TRANSIENT_CODES)
        or status in TRANSIENT_STATUSES
    )
    if code == "LimitExceededException" and not is_open:
        return EngineBusy(WAITING)
    if code in REFUSALS:
        return EngineError(f"{place} refused the request: {error.message or code}", permanent=not is_transient)
    if code in KEY_FAILURES:
        return EngineError(f"Amazon refused the key {account.key}: {KEY_FAILURES[code]}", permanent=True)
    if code in FAILURES:
        return EngineError(f"{place} failed: {error.message or code}", permanent=False)
    if not status:
        reason = " ".join(filter(None, (code, error.message))) or "it gave no reason."
        return EngineError(f"{place} failed: {reason}", permanent=False)
    answer = f"{status} {code or _phrase(status)}"
    if 300 <= status < 400:
        advice = "Check AWS_ENDPOINT_URL_TRANSCRIBE_STREAMING and HTTPS_PROXY."
        return EngineError(f"{place} answered {answer}, a redirect to another address. {advice}", permanent=True)
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        advice = "A proxy requires a user name and a password. Add them to HTTPS_PROXY."
        return EngineError(f"{place} answered {answer}. {advice}", permanent=True)
    if status < 300:
        return EngineError(f"{place} answered {answer}, without a transcript. Try again later.", permanent=False)
    text = f"{place} answered {answer}{f': {error.message}' if error.message else '.'}"
    return EngineError(text, permanent=400 <= status < 500 and not is_transient)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "(an unknown status)"
