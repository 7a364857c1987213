"""Extracts the audio from signed messages, and checks it by the service's rules for chunks."""

from tests.standin import messages
from tests.standin.requests import Request, ServiceError

LARGEST_CHUNK_BYTES = 32 * 1024
LARGEST_MESSAGE_BYTES = LARGEST_CHUNK_BYTES + 1024  # including headers and signature
TOO_BIG = "Your stream is too big. Reduce the frame size and try your request again."


def audio_of(payload: bytes, request: Request) -> bytes | None:
    """Return the PCM of a signed message's payload, or None for the empty frame, which ends the audio.

    The empty frame has no payload at all: an audio event without audio is not one. Raises ServiceError, DamagedError.
    """
    if not payload:
        return None
    event = messages.decode_one(payload)
    if event.headers.get(":event-type") != "AudioEvent":
        raise ServiceError("BadRequestException", "The event must be an AudioEvent.")
    if len(event.payload) > LARGEST_CHUNK_BYTES:
        raise ServiceError("BadRequestException", TOO_BIG)
    if len(event.payload) % request.frame_bytes:
        raise ServiceError("BadRequestException", "A chunk of audio must hold whole samples of all channels.")
    return event.payload
