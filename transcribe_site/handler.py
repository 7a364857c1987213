"""Django's handler of requests, which would take a strange one for a fault of ours."""

from collections.abc import Mapping
from typing import Any

from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.http import HttpResponse, HttpResponseBase


class Handler(ASGIHandler):
    def create_request(
        self, scope: Mapping[str, Any], body_file: Any
    ) -> tuple[ASGIRequest, None] | tuple[None, HttpResponseBase]:
        """Return the request, or the answer to one that can't be read."""
        try:
            return super().create_request(scope, body_file)
        except ValueError:  # a parameter of its Content-Type is in an encoding that Python doesn't know
            return None, HttpResponse("The request can't be understood.", status=400, content_type="text/plain")
