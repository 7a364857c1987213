"""ASGI handler that applies the rules of `bodies.py`, and answers full disks and malformed requests with 507 and 400.

`asgi.py` routes HTTP to it. Django's own handler would answer these requests with 500 and log a bug.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.http import HttpRequest, HttpResponseBase, QueryDict
from django.utils.datastructures import MultiValueDict

from transcribe_site import health
from transcribe_site.server.bodies import BAD_REQUEST, DISK_FULL, BodyRefused, guarded
from transcribe_site.server.multipart import Form
from uploads import db_connections

logger = logging.getLogger(__name__)

# Pages without a session that are rendered at once. A burst of them, such as a hundred sign-in pages, would otherwise
# run in as many threads, and the event loop would compete with all of them for the interpreter lock.
MAX_ANONYMOUS_PAGES = 2

# A scope's key, set by our own server, which has applied the rules for bodies: a function that returns the body's file.
DETACH_BODY = "transcribe_site.detach_body"


class ReceiveWithBody:
    """The `receive` of our own server, with access to the file of the request's body."""

    def __init__(self, detach: Callable[[], Any], receive: Any) -> None:
        self.detach = detach
        self._receive = receive

    async def __call__(self) -> dict[str, Any]:
        message: dict[str, Any]
        while (message := await self._receive())["type"] == "http.request":
            pass  # daphne's message of the empty body that it saw
        return message


class Request(ASGIRequest):
    """A request whose form `multipart.py` may have parsed while it arrived."""

    def parse_file_upload(self, META: Mapping[str, Any], post_data: Any) -> tuple[QueryDict, MultiValueDict]:
        if isinstance(self._stream, Form):
            return self._stream.result()
        return super().parse_file_upload(META, post_data)


def is_anonymous_page(request: HttpRequest) -> bool:
    """Return whether a request reads a page without a session.

    Not for sign-ins, which may wait for a password hash, nor for the endpoints of load balancers and Prometheus.
    """
    is_read = request.method in ("GET", "HEAD")
    return is_read and settings.SESSION_COOKIE_NAME not in request.COOKIES and request.path not in health.PATHS


class Handler(ASGIHandler):
    request_class = Request

    def __init__(self) -> None:
        super().__init__()
        self._anonymous_pages = asyncio.Semaphore(MAX_ANONYMOUS_PAGES)

    def load_middleware(self, is_async: bool = False) -> None:
        """Load synchronous middleware only: `get_response_async` below runs it in a thread."""
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """Run the middleware and the view in one thread.

        Django would switch between the event loop and the thread for each method of each middleware, 24 times a page.
        Each switch waits for the interpreter lock, for which all other requests compete.
        """
        async with self._anonymous_pages if is_anonymous_page(request) else nullcontext():
            return await sync_to_async(self._respond_and_release)(request)

    def _respond_and_release(self, request: HttpRequest) -> HttpResponseBase:
        """Release the database connection before sending the response: a client may read slowly or never finish."""
        try:
            return self.get_response(request)
        finally:
            db_connections.release()

    async def handle(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        try:
            if DETACH_BODY in scope:
                receive = ReceiveWithBody(scope.pop(DETACH_BODY), receive)
            else:
                receive = await guarded(scope, receive, settings.MAX_BODY_BYTES)
            await super().handle(scope, receive, send)
        except BodyRefused as refused:  # raised only before Django has begun to answer
            await self.send_response(refused.refusal.response(scope["headers"]), send)

    async def read_body(self, receive: Any) -> Any:
        if isinstance(receive, ReceiveWithBody):
            body = receive.detach()  # Django would copy the body to another file
            if body.closed:
                raise RequestAborted  # the client has disconnected
            return body
        try:
            return await super().read_body(receive)
        except OSError as error:
            logger.error("Could not store the body of a request: %s", error)
            raise BodyRefused(DISK_FULL) from error

    def create_request(
        self, scope: Mapping[str, Any], body_file: Any
    ) -> tuple[ASGIRequest, None] | tuple[None, HttpResponseBase]:
        """Return the request, or the answer to one that can't be read."""
        try:
            return super().create_request(scope, body_file)
        except ValueError:  # a parameter of its Content-Type has an encoding that Python doesn't know
            return None, BAD_REQUEST.response(scope["headers"])
