"""Locks an account for one address after failed sign-ins from there. Each further failure makes the lock longer.

django-axes counts the failures. The admin lists them; deleting a row unlocks its account for its address. `urls.py`
wraps the sign-in views in `limited`. It wraps the views that change a password in `limited` and `counted`: a stolen
session must not allow guessing the password.
"""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import wraps
from typing import Any
from weakref import WeakValueDictionary

from axes.handlers.database import AxesDatabaseHandler
from axes.handlers.proxy import AxesProxyHandler
from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.forms import UsernameField
from django.db.models import Max, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import render
from django.utils import timezone

from transcribe_site import passwords
from transcribe_site.client_address import of_request
from transcribe_site.passwords import TooManyHashes
from uploads.db_connections import release
from uploads.negotiation import wants_json

FIRST_DELAY, LONGEST_DELAY = timedelta(seconds=30), timedelta(hours=1)

View = Callable[..., HttpResponseBase]

# A lock for each pair of account and address with attempts in progress. Garbage collection removes it after the last.
_locks: WeakValueDictionary[tuple[str, str], threading.Lock] = WeakValueDictionary()
_guard = threading.Lock()  # protects `_locks`


def delay(failures: int) -> timedelta:
    """Return how long a pair of account and address stays locked after this number of failures within a day."""
    further = failures - settings.AXES_FAILURE_LIMIT
    if further < 0:
        return timedelta(0)
    return min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(further, 20))


class SignInHandler(AxesDatabaseHandler):
    """The handler of django-axes, with a lock that grows with each failure instead of a fixed one."""

    def is_locked(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> bool:
        return self.remaining(request, credentials) > timedelta(0)

    def remaining(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> timedelta:
        """Return how long the account stays locked for this address. One query."""
        (attempts,) = self.get_user_attempts(request, credentials)
        found = attempts.aggregate(failures=Sum("failures_since_start"), last=Max("attempt_time"))
        if found["last"] is None:
            return timedelta(0)
        remaining: timedelta = found["last"] + delay(found["failures"]) - timezone.now()
        return max(timedelta(0), remaining)


def counted(view: View) -> View:
    """Check the old password of a POST as a sign-in does, so that failures count and a locked account is refused.

    The view's form checks the password again.
    """

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        old_password = request.POST.get("old_password")
        if old_password and request.user.is_authenticated:
            name = {"username": request.user.get_username()}
            if authenticate(request, **name, password=old_password) is not None:
                handler: Any = AxesProxyHandler.get_implementation()
                handler.reset_user_attempts(request, name)  # as after a sign-in
            elif getattr(request, "axes_locked_out", False):
                return HttpResponse(status=429)  # `limited` replaces it
        return view(request, *args, **kwargs)

    return answer


@contextmanager
def serialised(account: str, address: str) -> Iterator[None]:
    """Serialise attempts at an account from one address. Raises `TooManyHashes` after a long wait.

    A failure is counted after the password check. Without this lock, a hundred concurrent guesses would all find the
    account unlocked.
    """
    release()  # waiting threads must not hold all database connections of the pool
    with _guard:
        lock = _locks.setdefault((account, address), threading.Lock())
    if not lock.acquire(timeout=passwords.WAIT_SECONDS):
        raise TooManyHashes
    try:
        yield
    finally:
        lock.release()


def account_of_form(request: HttpRequest) -> str:
    return str(UsernameField().to_python(request.POST.get("username", "")))  # normalised as by the form


def account_of_session(request: HttpRequest) -> str:
    return str(request.user.get_username())


def limited(view: View, account: Callable[[HttpRequest], str] = account_of_form) -> View:
    """Return a view that answers 429 for a locked account, and passes `TooManyHashes` on: `failures.py` answers 503.

    `account` returns the name of the account whose password a POST to the view checks.
    """

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method != "POST":
            return view(request, *args, **kwargs)
        with serialised(account(request), of_request(request)):
            response = view(request, *args, **kwargs)
            if not getattr(request, "axes_locked_out", False):
                return response
            handler: Any = AxesProxyHandler.get_implementation()
            remaining = handler.remaining(request, getattr(request, "axes_credentials", None))
        return refuse(request, math.ceil(remaining.total_seconds()))

    return answer


def in_words(seconds: int) -> str:
    if seconds <= 90:
        return f"{seconds} second{'' if seconds == 1 else 's'}"
    return f"{math.ceil(seconds / 60)} minutes"


def refuse(request: HttpRequest, seconds: int) -> HttpResponse:
    """Answer an attempt at a locked account with 429 and the seconds until the lock ends."""
    seconds = max(1, seconds)
    sentence = f"Too many failed attempts. Try again in {in_words(seconds)}."
    response: HttpResponse
    if wants_json(request):
        response = JsonResponse({"error": sentence}, status=429)
    else:
        response = render(request, "registration/refused.html", {"reason": sentence}, status=429)
    response["Retry-After"] = str(seconds)
    return response
