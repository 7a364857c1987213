"""Who somebody is now: for sockets, which outlive the request that opened them."""

from importlib import import_module

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import User
from django.http import HttpRequest


def current_user(session_key: str | None) -> User | None:
    """Return the person of a session, or None once it has ended (signed out, expired, password changed, blocked)."""
    if session_key is None:
        return None
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = get_user(request)
    return user if isinstance(user, User) else None
