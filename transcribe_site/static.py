"""Static files: hashed names, ES module imports rewritten to them, and whole responses under ASGI."""

from typing import Any

from django.contrib.staticfiles.storage import ManifestStaticFilesStorage
from django.http import HttpRequest, HttpResponse
from whitenoise.middleware import WhiteNoiseMiddleware


class HashedStaticFilesStorage(ManifestStaticFilesStorage):
    """Names with a hash of the content, in the `import` lines of ES modules too."""

    support_js_module_import_aggregation = True


class StaticFilesMiddleware(WhiteNoiseMiddleware):
    """WhiteNoise, with a response that needs no iteration.

    Its own is a `FileResponse`, whose synchronous iterator Django complains about under ASGI. Static files
    are small, so the answer carries the bytes.
    """

    @staticmethod
    def serve(static_file: Any, request: HttpRequest) -> HttpResponse:
        answer = static_file.get_response(request.method, request.META)
        content = b""
        if answer.file is not None:
            with answer.file as file:
                content = file.read()
        response = HttpResponse(content, status=int(answer.status))
        del response["Content-Type"]
        for name, value in answer.headers:
            response[name] = value
        return response
