"""The site's middleware: sign-in, CSRF, sessions, caching, scheme and errors. `settings.py` lists it."""

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

SCHEME_KEY = "transcribe_site.scheme"  # in META, where the keys of client headers begin with `HTTP_`

CHARSETS = {"utf-8", "utf8", "us-ascii", "iso-8859-1"}
SENTENCES = {
    400: "The server can't read this request.",
    403: "You don't have permission to do this, or the page is out of date. Reload it and try again.",
    404: "This does not exist, or you don't have access to it.",
    405: "This address does not accept this method.",
    500: "Something went wrong on the server.",
}


class PrivateMiddleware(MiddlewareMixin):
    """Forbid caching, unless a view sets another rule.

    After a sign-out the next user of the browser can't go back to a page, and Back shows current lists.
    """

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        response.headers.setdefault("Cache-Control", "private, no-store")
        return response


class SchemeMiddleware(MiddlewareMixin):
    """Mark requests as secure if the site is reached by https only: the TLS proxy forwards them as plain HTTP.

    Django then sends Strict-Transport-Security, builds https addresses and refuses forms of http pages. It reads the
    scheme from SCHEME_KEY (`SECURE_PROXY_SSL_HEADER`), which a client's header can't set.
    """

    def process_request(self, request: HttpRequest) -> None:
        if is_https_only():
            request.META[SCHEME_KEY] = "https"


class CsrfMiddleware(CsrfViewMiddleware):
    """Django's middleware, which also accepts a secure request without Referer.

    Browsers send Origin or Referer with every form. Other clients send neither, and no other site can control them.
    """

    def _check_referer(self, request: HttpRequest) -> None:
        if "HTTP_REFERER" in request.META:
            super()._check_referer(request)  # type: ignore[misc]


def is_bad_value(error: Exception) -> bool:
    """Return whether a field or the database rejected a value.

    Some views of Django's admin pass values of the query string to the database unchecked.
    """
    return isinstance(error, ValidationError | DataError | OverflowError)


class FailuresMiddleware(MiddlewareMixin):
    """Answers with 507 or 503 if a disk is full or the database is unavailable.

    Answers with 400 if the address of an admin page has a value that the database rejects.
    """

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        match = request.resolver_match
        if match and match.app_name == "admin" and request.method in ("GET", "HEAD") and is_bad_value(exception):
            return HttpResponse(SENTENCES[400], status=400, content_type="text/plain")
        return failures.answer(request, exception)

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Replace the response of a view whose form could not be stored on the disk."""
        error = request.META.get(DISK_ERROR)
        if error is None or response.status_code in negotiation.UNAVAILABLE:
            return response
        refusal = recordings.disk_refusal(error)
        return negotiation.unavailable(request, str(refusal), refusal.status)


class SessionMiddleware(sessions.SessionMiddleware):
    """Django's middleware. If a session can't be saved, `failures.py` answers; Django would answer and log a bug."""

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        if response.status_code in negotiation.UNAVAILABLE:
            return response  # saving the session would fail too
        try:
            return super().process_response(request, response)
        except Exception as error:
            if (answer := failures.answer(request, error)) is not None:
                return answer
            raise


class JsonErrorsMiddleware(MiddlewareMixin):
    """Replaces an error page by JSON for clients that ask for JSON."""

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        """Refuse forms in encodings that no browser sends: some of Python's codecs don't decode to text."""
        if (request.content_params or {}).get("charset", "utf-8").lower() in CHARSETS:
            return None
        return HttpResponse("Send text as UTF-8.", status=400, content_type="text/plain")

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        sentence = SENTENCES.get(response.status_code)
        if sentence is None or response.get("Content-Type") == "application/json" or not wants_json(request):
            return response
        kept = {name: response[name] for name in ("Allow",) if name in response}
        answer = JsonResponse({"error": sentence}, status=response.status_code, headers=kept)
        # Django marks the responses that it has logged. Without the mark it would log this one again.
        setattr(answer, "_has_been_logged", getattr(response, "_has_been_logged", False))  # noqa: B010
        return answer


class SignInMiddleware(LoginRequiredMiddleware):
    """Django's middleware. A client that asks for JSON gets 401 instead of a redirect to the sign-in page.

    Also reports signed-in requests to our own server, which closes anonymous connections first.
    """

    def process_view(self, request: HttpRequest, *view: Any) -> Any:
        try:
            refusal = super().process_view(request, *view)
        except Exception as error:  # the session or the account could not be read
            if (answer := failures.answer(request, error)) is not None:
                return answer
            raise
        report_sign_in = getattr(request, "scope", {}).get(SIGNED_IN)  # missing in tests and behind other servers
        if refusal is None and report_sign_in is not None and request.user.is_authenticated:
            report_sign_in()
        return refusal

    def handle_no_permission(self, request: HttpRequest, view_func: Any) -> Any:  # a redirect, or JSON
        if wants_json(request):
            return JsonResponse({"error": "You are signed out. Sign in and try again."}, status=401)
        return super().handle_no_permission(request, view_func)
