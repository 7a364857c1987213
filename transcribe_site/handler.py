"""Django's handler of requests, which would take for a fault of ours what is none: a full disk, a strange request."""

import io
import logging
from collections.abc import Mapping
from typing import Any

from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.http import HttpResponse, HttpResponseBase

logger = logging.getLogger(__name__)

DISK_FULL = "The server's disk is full. Nothing was kept; try again later."


class Unkept(io.BytesIO):
    """Stands for a body for which there was no room."""


class Handler(ASGIHandler):
    async def read_body(self, receive: Any) -> Any:
        try:
            return await super().read_body(receive)
        except OSError as error:
            logger.error("A request's body can't be kept: %s", error)
            return Unkept()

    def create_request(
        self, scope: Mapping[str, Any], body_file: Any
    ) -> tuple[ASGIRequest, None] | tuple[None, HttpResponseBase]:
        """Return the request, or the answer to one that can't be read."""
        if isinstance(body_file, Unkept):
            return None, HttpResponse(DISK_FULL, status=507, content_type="text/plain")
        try:
            return super().create_request(scope, body_file)
        except ValueError:  # a parameter of its Content-Type is in an encoding that Python doesn't know
            return None, HttpResponse("The request can't be understood.", status=400, content_type="text/plain")
