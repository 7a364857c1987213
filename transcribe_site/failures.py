"""Answers requests that fail because a disk is full (507) or the database or storage is unavailable (503).

`middleware.py` calls `answer` for errors of views, sessions and the sign-in. The error handler of `urls.py` calls it
for other errors, such as those of an error page that needs the database.
"""

import logging
import sys

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views import defaults

from streaming.db import TRANSIENT
from streaming.outages import outage_in
from transcribe_site.passwords import TooManyHashes
from uploads import negotiation
from uploads.files.disk_errors import causes, is_full
from uploads.files.storage import StorageAway

logger = logging.getLogger(__name__)

DISK_FULL = "The server's disk is full. Nothing was changed; try again later."
DATABASE_AWAY = "The database is busy or unavailable. Nothing was changed; try again in a moment."
STORAGE_AWAY = "The storage of the recordings is unavailable. Nothing was changed; try again in a moment."
BUSY = "The server is checking too many passwords. Try again in 10 seconds."


def answer(request: HttpRequest, error: BaseException | None) -> HttpResponse | None:
    """Return the answer to a request that failed with `error`, or None for a bug, which Django answers with 500."""
    for each in causes(error):
        if is_full(each):
            return refused(request, DISK_FULL, 507, each)
        if isinstance(each, TRANSIENT):
            return refused(request, DATABASE_AWAY, 503, each)
        if isinstance(each, StorageAway):
            return refused(request, STORAGE_AWAY, 503, each)
        if isinstance(each, TooManyHashes):
            return refused(request, BUSY, 503, each)
    return None


def refused(request: HttpRequest, sentence: str, status: int, error: BaseException) -> HttpResponse:
    if outage := outage_in(error):
        outage.failed(error)  # logs one line for all requests of an outage
    else:
        logger.error("Answered a request with %s: %s", status, error)
    response = negotiation.unavailable(request, sentence, status)
    response._has_been_logged = True  # type: ignore[attr-defined]  # otherwise Django would log each request, with a traceback
    return response


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Answer an uncaught exception. Django calls this while it handles the exception."""
    return answer(request, sys.exc_info()[1]) or defaults.server_error(request)
