"""Django's handler of requests, with the rules of `bodies.py` and answers where Django would log an error of ours."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.http import HttpRequest, HttpResponseBase, QueryDict
from django.utils.datastructures import MultiValueDict

from transcribe_site.server.bodies import BAD_REQUEST, DISK_FULL, BodyRefused, guarded
from transcribe_site.server.multipart import Form
from uploads import db_connections

logger = logging.getLogger(__name__)

# In a scope of our own server, which has applied the rules for bodies: a function that returns the body as a file.
TAKE_BODY = "transcribe_site.take_body"


class Taken:
    """The `receive` of our own server, whose body can be taken as a file."""

    def __init__(self, take: Callable[[], Any], receive: Any) -> None:
        self.take = take
        self._receive = receive

    async def __call__(self) -> dict[str, Any]:
        message: dict[str, Any]
        while (message := await self._receive())["type"] == "http.request":
            pass  # daphne's own, of the body that it was not shown
        return message


class Request(ASGIRequest):
    """A request whose form may have been parsed while it arrived."""

    def parse_file_upload(self, META: Mapping[str, Any], post_data: Any) -> tuple[QueryDict, MultiValueDict]:
        if isinstance(self._stream, Form):
            return self._stream.result()
        return super().parse_file_upload(META, post_data)


class Handler(ASGIHandler):
    request_class = Request

    def load_middleware(self, is_async: bool = False) -> None:
        """Load the middleware without its asynchronous variant, for `get_response_async` below."""
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """Run the middleware and the view in one thread.

        Django would send each method of each middleware from the event loop to that thread and back, 24 times a page:
        each time both wait for the interpreter lock, which all other requests want too.
        """
        return await sync_to_async(self._respond_and_release)(request)

    def _respond_and_release(self, request: HttpRequest) -> HttpResponseBase:
        """Release the database connection before the response is sent: a client may never read it to its end."""
        try:
            return self.get_response(request)
        finally:
            db_connections.release()

    async def handle(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        try:
            if TAKE_BODY in scope:
                receive = Taken(scope.pop(TAKE_BODY), receive)
            else:
                receive = await guarded(scope, receive, settings.MAX_BODY_BYTES)
            await super().handle(scope, receive, send)
        except BodyRefused as refused:  # only before Django has begun to answer
            await self.send_response(refused.refusal.response(scope["headers"]), send)

    async def read_body(self, receive: Any) -> Any:
        if isinstance(receive, Taken):
            body = receive.take()  # Django would copy it to another file
            if body.closed:
                raise RequestAborted  # the client has left
            return body
        try:
            return await super().read_body(receive)
        except OSError as error:
            logger.error("The body of a request can't be stored: %s", error)
            raise BodyRefused(DISK_FULL) from error

    def create_request(
        self, scope: Mapping[str, Any], body_file: Any
    ) -> tuple[ASGIRequest, None] | tuple[None, HttpResponseBase]:
        """Return the request, or the answer to one that can't be read."""
        try:
            return super().create_request(scope, body_file)
        except ValueError:  # a parameter of its Content-Type is in an encoding that Python doesn't know
            return None, BAD_REQUEST.response(scope["headers"])
