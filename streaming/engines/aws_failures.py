"""What can go wrong with Amazon Transcribe, each as a sentence that says what to do, and whether it may pass."""

import ssl

from streaming.engines.aws_account import Account
from streaming.engines.aws_transport import Unreadable, sdk
from streaming.engines.base import EngineBusy, EngineError

WAITING = "Waiting for a free Amazon Transcribe stream."

# By the code of the answer: what it means for the key. None of these passes by itself.
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

# Parts of the codes that come as 400 and pass all the same.
PASSING_CODES = ("Throttl", "TooManyRequests", "RequestTimeout", "SlowDown")

# Refusals of the sound rather than of the request: another stream may do better.
PASSING_REFUSALS = ("no new audio was received", "Signature expired")


def failure(error: BaseException, account: Account, *, is_open: bool) -> EngineError:
    """Return what an error on the way to the service means. `is_open`: the stream had been accepted."""
    place = f"Amazon Transcribe in {account.region}"
    match error:
        case EngineError():
            return error
        case sdk.LimitExceededException() if not is_open:
            return EngineBusy(WAITING)
        case sdk.BadRequestException():
            is_permanent = not any(words in _message(error) for words in PASSING_REFUSALS)
            return EngineError(f"{place} refused the request: {_message(error)}", permanent=is_permanent)
        case sdk.UnknownServiceException() if str(error.error_code) in KEY_FAILURES:
            meaning = KEY_FAILURES[str(error.error_code)]
            return EngineError(f"Amazon refused the key {account.key}: {meaning}", permanent=True)
        case sdk.UnknownServiceException():
            text = f"{place} answered {error.status_code} {error.error_code}: {_message(error)}"
            return EngineError(text, permanent=400 <= error.status_code < 500 and not is_passing(error))
        case sdk.ServiceException():
            return EngineError(f"{place} failed: {_message(error)}", permanent=False)
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
            return EngineError(f"{place} sent what can't be read: {error}.", permanent=False)
    raise error


def is_passing(error: sdk.UnknownServiceException) -> bool:
    """Whether a refusal that looks permanent by its number is about the moment."""
    return error.status_code in (408, 429) or any(part in str(error.error_code) for part in PASSING_CODES)


def _message(error: Exception) -> str:
    return str(getattr(error, "message", "") or error or type(error).__name__)
