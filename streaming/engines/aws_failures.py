"""What can go wrong with Amazon Transcribe, each as a sentence that says what to do, and whether it may pass."""

import ssl

from streaming.engines.aws_account import Account
from streaming.engines.aws_transport import ParserError, sdk
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
            is_permanent = not any(words in error.message for words in PASSING_REFUSALS)
            return EngineError(f"{place} refused the request: {error.message}", permanent=is_permanent)
        case sdk.UnknownServiceException() if str(error.error_code) in KEY_FAILURES:
            meaning = KEY_FAILURES[str(error.error_code)]
            return EngineError(f"Amazon refused the key {account.key}: {meaning}", permanent=True)
        case sdk.UnknownServiceException():
            text = f"{place} answered {error.status_code} {error.error_code}: {error.message}"
            return EngineError(text, permanent=400 <= error.status_code < 500 and error.status_code != 429)
        case sdk.ServiceException():
            return EngineError(f"{place} failed: {_message(error)}", permanent=False)
        case ssl.SSLCertVerificationError():
            text = (
                f"The certificate of {account.endpoint} is not trusted ({error.verify_message}). Check "
                "AWS_ENDPOINT_URL_TRANSCRIBE_STREAMING and AWS_CA_BUNDLE."
            )
            return EngineError(text, permanent=True)
        case TimeoutError() if not is_open:
            return EngineError(f"{place} did not answer in time.", permanent=False)
        case OSError():
            return EngineError(f"The connection to {place} failed: {error}.", permanent=False)
        case ParserError() | ValueError() | KeyError() | RuntimeError():
            return EngineError(f"{place} sent what can't be read: {error}.", permanent=False)
    raise error


def _message(error: Exception) -> str:
    return getattr(error, "message", "") or str(error) or type(error).__name__
