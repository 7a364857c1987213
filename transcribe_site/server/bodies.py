"""Rules for request bodies: maximum length, minimum rate, and the sign-in that long ones need.

They are applied before anything is stored: by `http.py` in our own server, by `asgi_handler.py` behind other servers.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import Error
from django.http import HttpRequest, JsonResponse, parse_cookie
from django.http.response import HttpResponse

from streaming.db import in_thread, shared
from streaming.live.auth import current_user
from uploads.negotiation import wants_json

# A longer body needs a signed-in sender. Forms of anonymous visitors have some hundred bytes.
ANONYMOUS_BYTES = 64 * 1024
ANONYMOUS_SECONDS = 30.0  # until a short body has arrived completely, from any sender
# Minimum rate of a longer body: 16 KiB/s, measured over 30 s. The slowest mobile networks in use are faster.
RATE_BYTES, RATE_SECONDS, GRACE_SECONDS = 16 * 1024, 30.0, 10.0
RETRY_SECONDS = 10

Receive = Callable[[], Awaitable[dict[str, Any]]]
Headers = Collection[tuple[bytes, bytes]]  # names in lower case, as in an ASGI scope


@dataclass(frozen=True)
class Refusal:
    """The answer to a request whose body is not accepted."""

    status: int
    sentence: str

    def response(self, headers: Headers) -> HttpResponse:
        """Return the answer, as JSON if the client asks for it. It closes the connection without reading the rest."""
        request = HttpRequest()
        request.META["HTTP_ACCEPT"] = header(headers, b"accept", "*/*")
        response: HttpResponse
        if wants_json(request):
            response = JsonResponse({"error": self.sentence}, status=self.status)
        else:
            response = HttpResponse(self.sentence, status=self.status, content_type="text/plain; charset=utf-8")
        if self.status in (429, 503):
            response["Retry-After"] = str(RETRY_SECONDS)
        response["Content-Length"] = str(len(response.content))
        response["Connection"] = "close"
        return response


SIGNED_OUT = Refusal(401, "You are signed out. Sign in and try again.")
TOO_LONG = Refusal(413, "This request is longer than the server accepts.")
TOO_SLOW = Refusal(408, "The request arrived too slowly. Check the connection and try again.")
DISK_FULL = Refusal(507, "The server's disk is full. Nothing was stored; try again later.")
DATABASE_AWAY = Refusal(503, "The database is not available. Nothing was stored; try again in a moment.")
TOO_MANY = Refusal(429, "There are too many connections from your network. Try again in a moment.")
FULL = Refusal(503, "The server has too many connections. Try again in a moment.")
BAD_REQUEST = Refusal(400, "The server could not read this request.")


class BodyRefused(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.sentence)
        self.refusal = refusal


@dataclass(frozen=True)
class Permit:
    """The limits of a request's body. A sender without a valid session is limited to `ANONYMOUS_BYTES`."""

    max_bytes: int
    sender_id: int | None  # the primary key of a sender with a valid session

    @property
    def is_signed_in(self) -> bool:
        return self.sender_id is not None

    @property
    def refusal(self) -> Refusal:
        """The answer to a body that turns out to be longer."""
        return TOO_LONG if self.is_signed_in else SIGNED_OUT


ANONYMOUS = Permit(ANONYMOUS_BYTES, None)


def header(headers: Headers, name: bytes, default: str = "") -> str:
    values = [value for each, value in headers if each == name]
    return b",".join(values).decode("latin-1") if values else default


async def permit(headers: Headers, length: int | None, max_bytes: int) -> Permit:
    """Return the limits of a request with a body of `length` bytes (None: unknown, sent in chunks).

    Runs one query, for long bodies only, and holds no connection when it returns. Raises `BodyRefused`.
    """
    if length is not None and length <= ANONYMOUS_BYTES:
        return ANONYMOUS
    if length is not None and length > max_bytes:
        raise BodyRefused(TOO_LONG)
    if (sender := await signed_in_sender(headers)) is not None:
        return Permit(max_bytes, sender.pk)
    if length is not None:
        raise BodyRefused(SIGNED_OUT)
    return ANONYMOUS


def session_key(headers: Headers) -> str | None:
    """Return the session key in a request's cookie. The session may not exist."""
    cookies = parse_cookie(";".join(value.decode("latin-1") for name, value in headers if name == b"cookie"))
    return cookies.get(settings.SESSION_COOKIE_NAME)


async def signed_in_sender(headers: Headers) -> User | None:
    """Return the user of a valid session, or None. Raises `BodyRefused` if the database is unavailable."""
    key = session_key(headers)
    if key is None:
        return None
    try:
        return await shared(("sender", key), lambda: in_thread(current_user)(key))
    except Error as error:
        raise BodyRefused(DATABASE_AWAY) from error


class RateMonitor:
    """Measures the rate of a body and calls `on_slow` once if it arrives too slowly."""

    def __init__(self, on_slow: Callable[[], None], *, is_signed_in: bool) -> None:
        self._on_slow = on_slow
        self._is_signed_in = is_signed_in
        self._received_bytes = 0
        self._check_in(GRACE_SECONDS + RATE_SECONDS if is_signed_in else ANONYMOUS_SECONDS)

    def received(self, count: int) -> None:
        self._received_bytes += count

    def end(self) -> None:
        self._timer.cancel()

    def _check_in(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._check)

    def _check(self) -> None:
        if not self._is_signed_in or self._received_bytes < RATE_BYTES * RATE_SECONDS:
            self._on_slow()
            return
        self._received_bytes = 0
        self._check_in(RATE_SECONDS)


class Guarded:
    """The `receive` of another server, with the rules of `permit` and `RateMonitor`. Raises `BodyRefused`."""

    def __init__(self, receive: Receive, allowed: Permit) -> None:
        self._receive = receive
        self._allowed = allowed
        self._left = allowed.max_bytes
        self._rate: RateMonitor | None = RateMonitor(self._stop_waiting, is_signed_in=allowed.is_signed_in)
        self._waiting: asyncio.Future[dict[str, Any]] | None = None
        self._is_slow = False

    async def __call__(self) -> dict[str, Any]:
        if self._rate is None:
            return await self._receive()
        if self._is_slow:  # the timer fired between two messages
            self._rate.end()
            raise BodyRefused(TOO_SLOW)
        self._waiting = asyncio.ensure_future(self._receive())
        try:
            message = await self._waiting
        except asyncio.CancelledError:
            self._rate.end()
            if self._is_slow:
                raise BodyRefused(TOO_SLOW) from None
            raise
        self._rate.received(len(message.get("body", b"")))
        self._left -= len(message.get("body", b""))
        if not message.get("more_body") or self._left < 0:
            self._rate.end()
            self._rate = None
        if self._left < 0:
            raise BodyRefused(self._allowed.refusal)
        return message

    def _stop_waiting(self) -> None:
        self._is_slow = True
        if self._waiting is not None:
            self._waiting.cancel()


async def guarded(scope: Mapping[str, Any], receive: Receive, max_bytes: int) -> Receive:
    """Return a `receive` that applies the rules behind another server. Raises `BodyRefused`."""
    headers: Headers = scope["headers"]
    given = header(headers, b"content-length")
    is_chunked = any(name == b"transfer-encoding" for name, _ in headers)
    length = None if is_chunked else int(given) if given.isdecimal() else 0
    return Guarded(receive, await permit(headers, length, max_bytes))
