"""Static files: names with hashes, ES module imports that use these names, and serving under ASGI."""

from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage, staticfiles_storage
from django.core.management.base import CommandError
from django.http import HttpRequest, HttpResponse
from whitenoise.middleware import WhiteNoiseMiddleware


def refuse_uncollected() -> None:
    """Raise `CommandError` if a static file of this version was not collected: pages would fail. `serve` calls this."""
    if settings.DEBUG:
        return  # Django serves the files from their sources
    collected = getattr(staticfiles_storage, "hashed_files", {})
    ignored = apps.get_app_config("staticfiles").ignore_patterns  # type: ignore[attr-defined]
    if any(path not in collected for finder in get_finders() for path, _ in finder.list(ignored)):
        raise CommandError(
            "Static files are missing or of another version: run `manage.py collectstatic --noinput` first "
            "(`make run` does)."
        )


class HashedStaticFilesStorage(ManifestStaticFilesStorage):
    """Adds hashes of the content to file names, also in the `import` lines of ES modules."""

    support_js_module_import_aggregation = True


class StaticFilesMiddleware(WhiteNoiseMiddleware):
    """WhiteNoise with a response that contains the bytes; static files are small.

    WhiteNoise itself returns a `FileResponse`, for whose synchronous iterator Django warns under ASGI.
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
