"""Who somebody is now, and what they may watch: for sockets, which outlive the request that opened them."""

from collections.abc import Callable, Iterable
from functools import wraps
from importlib import import_module
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponseBase

from streaming import publisher
from streaming.models import Job

View = Callable[..., HttpResponseBase]

# In a scope of our own server: a function that notes that a request or socket is a signed-in person's.
SIGNED_IN = "transcribe_site.signed_in"


def current_user(session_key: str | None) -> User | None:
    """Return the person of a session, or None once it has ended (signed out, expired, password changed, blocked)."""
    if session_key is None:
        return None
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = get_user(request)
    return user if isinstance(user, User) else None


def watchable(session_key: str | None, job_ids: Iterable[UUID]) -> set[UUID] | None:
    """Return which of these jobs the person of a session may watch; None if nobody is signed in there any more."""
    user = current_user(session_key)
    if user is None:
        return None
    return set(Job.objects.visible_to(user).filter(pk__in=job_ids).order_by().values_list("pk", flat=True))


def rechecks_access(view: View) -> View:
    """After a POST, tell all processes to re-check viewer permissions now rather than at the next periodic check."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = view(request, *args, **kwargs)
        if request.method == "POST":
            publisher.doubt()
        return response

    return answer
