"""Static files: hashed names, ES module imports rewritten to them, and whole responses under ASGI."""

from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage, staticfiles_storage
from django.core.management.base import CommandError
from django.http import HttpRequest, HttpResponse
from whitenoise.middleware import WhiteNoiseMiddleware


def refuse_uncollected() -> None:
    """Raise `CommandError` where the files of the pages are not those of this version: every page would fail."""
    if settings.DEBUG:
        return  # they are served from where they are
    collected = getattr(staticfiles_storage, "hashed_files", {})
    ignored = apps.get_app_config("staticfiles").ignore_patterns  # type: ignore[attr-defined]
    if any(path not in collected for finder in get_finders() for path, _ in finder.list(ignored)):
        raise CommandError(
            "The files of the pages are missing or of another version: run `manage.py collectstatic --noinput` first "
            "(`make run` does)."
        )


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
