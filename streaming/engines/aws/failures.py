"""Each failure of Amazon Transcribe as a sentence that says what to do, and whether another stream may do better."""

import ssl
from http import HTTPStatus

from streaming.engines.aws.account import Account
from streaming.engines.aws.messages import ServiceError, Unreadable
from streaming.engines.base import EngineBusy, EngineError

WAITING = "Waiting for a free Amazon Transcribe stream."

# By the code of the answer: what it means for the key. None of these is transient.
KEY_FAILURES = {
    "ExpiredTokenException": "it has expired. Renew the credentials, then try again.",
    "UnrecognizedClientException": "it does not know the key. Check AWS_ACCESS_KEY_ID (and AWS_SESSION_TOKEN).",
    "InvalidClientTokenId": "it does not know the key. Check AWS_ACCESS_KEY_ID (and AWS_SESSION_TOKEN).",
    "InvalidSignatureException": "the secret does not belong to it, or the clock of this machine is wrong. "
    "Check AWS_SECRET_ACCESS_KEY and the time.",
    "SignatureDoesNotMatch": "the secret does not belong to it. Check AWS_SECRET_ACCESS_KEY.",
    "AccessDeniedException": "it may not use the service. Allow it transcribe:StartStreamTranscription.",
    "MissingAuthenticationTokenException": "the request was not signed.",
    "OptInRequired": "the account has not signed up for the service.",
    "SubscriptionRequiredException": "the account has not signed up for the service.",
}

# Parts of the codes that come as 400 and are about the moment all the same.
PASSING_CODES = ("Throttl", "TooManyRequests", "RequestTimeout", "SlowDown")
PASSING_STATUSES = (408, 421, 425, 429)  # 421: another connection may reach a server that knows the name

# Refusals of the audio rather than of the request: another stream may do better.
PASSING_REFUSALS = ("no new audio was received", "signature expired", "stream is too big")

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
    """Return what an error on the way to the service means. `is_open`: the stream had been accepted."""
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
            return EngineError(f"{place} did not answer in time.", permanent=False)
        case OSError():
            return EngineError(f"The connection to {place} failed: {error}.", permanent=False)
        case Unreadable():
            return EngineError(f"{place} sent an answer that can't be read: {error}.", permanent=False)
    raise error


def _reported(error: ServiceError, account: Account, place: str, *, is_open: bool) -> EngineError:
    """Return what a refusal or a failure means that the service reports itself."""
    code, status = error.code, error.status
    is_passing = (
        any(words in error.message.lower() for words in PASSING_REFUSALS)
        or any(part in code for part in PASSING_CODES)
        or status in PASSING_STATUSES
    )
    if code == "LimitExceededException" and not is_open:
        return EngineBusy(WAITING)
    if code in REFUSALS:
        return EngineError(f"{place} refused the request: {error.message or code}", permanent=not is_passing)
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
        return EngineError(f"{place} answered {answer}, which points to another address. {advice}", permanent=True)
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        advice = "A proxy asks for a user name and a password. Write them into HTTPS_PROXY."
        return EngineError(f"{place} answered {answer}. {advice}", permanent=True)
    if status < 300:
        return EngineError(f"{place} answered {answer}, without a transcript.", permanent=False)
    text = f"{place} answered {answer}{f': {error.message}' if error.message else '.'}"
    return EngineError(text, permanent=400 <= status < 500 and not is_passing)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "(an unknown status)"
