"""What every request passes: the sign-in, and errors that a program can read."""

from typing import Any

from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.sessions import middleware as sessions
from django.core.exceptions import ValidationError
from django.db import DataError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.deprecation import MiddlewareMixin

from streaming.live.auth import SIGNED_IN, is_https_only
from transcribe_site import failures
from uploads import negotiation, recordings
from uploads.files.upload_handler import DISK_ERROR
from uploads.negotiation import wants_json

SCHEME_KEY = "transcribe_site.scheme"  # in META; headers of clients get keys that begin with `HTTP_`

CHARSETS = {"utf-8", "utf8", "us-ascii", "iso-8859-1"}
SENTENCES = {
    400: "The server can't read this request.",
    403: "You don't have permission to do this, or the page is out of date. Reload it and try again.",
    404: "This does not exist, or you don't have access to it.",
    405: "This address does not accept this method.",
    500: "Something went wrong on the server.",
}


class PrivateMiddleware(MiddlewareMixin):
    """Keep pages out of every cache, unless a view has set another rule.

    Another person at the same browser cannot go back to them, and Back shows the current list.
    """

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        response.headers.setdefault("Cache-Control", "private, no-store")
        return response


class SchemeMiddleware(MiddlewareMixin):
    """Make a request secure where people reach the site by https alone: the TLS proxy in front talks plain HTTP.

    Django then sends Strict-Transport-Security, builds https addresses and refuses forms of http pages. It reads the
    scheme from SCHEME_KEY (`SECURE_PROXY_SSL_HEADER`), so that no header of a client can choose it.
    """

    def process_request(self, request: HttpRequest) -> None:
        if is_https_only():
            request.META[SCHEME_KEY] = "https"


class CsrfMiddleware(CsrfViewMiddleware):
    """Django's, but a secure request needs no Referer if it has none.

    Browsers send Origin or Referer with every form. Programs send neither, and carry no other site's cookies.
    """

    def _check_referer(self, request: HttpRequest) -> None:
        if "HTTP_REFERER" in request.META:
            super()._check_referer(request)  # type: ignore[misc]


def is_bad_value(error: Exception) -> bool:
    """Tell whether a value was of a kind that a field or the database does not take.

    Some views of Django's admin hand a value from the address to the database as it is.
    """
    return isinstance(error, ValidationError | DataError | OverflowError)


class FailuresMiddleware(MiddlewareMixin):
    """Answers with 507 or 503 where a disk is full or the database is away, whatever a view was doing.

    And with 400 where an address of the admin names a value that the database does not take.
    """

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        match = request.resolver_match
        if match and match.app_name == "admin" and request.method in ("GET", "HEAD") and is_bad_value(exception):
            return HttpResponse(SENTENCES[400], status=400, content_type="text/plain")
        return failures.answer(request, exception)

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Replace the response of a view whose form did not fit on the disk."""
        error = request.META.get(DISK_ERROR)
        if error is None or response.status_code in negotiation.UNAVAILABLE:
            return response
        refusal = recordings.disk_refusal(error)
        return negotiation.unavailable(request, str(refusal), refusal.status)


class SessionMiddleware(sessions.SessionMiddleware):
    """Django's, but a session that can't be saved is answered by `failures.py`; Django would log an error of ours."""

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        if response.status_code in negotiation.UNAVAILABLE:
            return response  # the session could not be saved either
        try:
            return super().process_response(request, response)
        except Exception as error:
            if (answer := failures.answer(request, error)) is not None:
                return answer
            raise


class JsonErrorsMiddleware(MiddlewareMixin):
    """Gives a program that asks for JSON the error as JSON, where there is only a page for people."""

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        """Refuse forms in encodings that no browser sends: Python has some that decode to nothing like text."""
        if (request.content_params or {}).get("charset", "utf-8").lower() in CHARSETS:
            return None
        return HttpResponse("Send text as UTF-8.", status=400, content_type="text/plain")

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        sentence = SENTENCES.get(response.status_code)
        if sentence is None or response.get("Content-Type") == "application/json" or not wants_json(request):
            return response
        kept = {name: response[name] for name in ("Allow",) if name in response}
        answer = JsonResponse({"error": sentence}, status=response.status_code, headers=kept)
        # Django marks the answers that it has logged; without the mark it would log this one again.
        setattr(answer, "_has_been_logged", getattr(response, "_has_been_logged", False))  # noqa: B010
        return answer


class SignInMiddleware(LoginRequiredMiddleware):
    """Django's, but a program is told that it is signed out: it could do nothing with the sign-in page.

    Tells our own server which requests are those of signed-in people: it closes other connections first.
    """

    def process_view(self, request: HttpRequest, *view: Any) -> Any:
        try:
            refusal = super().process_view(request, *view)
        except Exception as error:  # the session or the account can't be read
            if (answer := failures.answer(request, error)) is not None:
                return answer
            raise
        note = getattr(request, "scope", {}).get(SIGNED_IN)  # not there in tests' requests, nor behind other servers
        if refusal is None and note is not None and request.user.is_authenticated:
            note()
        return refusal

    def handle_no_permission(self, request: HttpRequest, view_func: Any) -> Any:  # a redirect, or JSON
        if wants_json(request):
            return JsonResponse({"error": "You are signed out. Sign in and try again."}, status=401)
        return super().handle_no_permission(request, view_func)
