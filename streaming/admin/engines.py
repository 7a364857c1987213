"""The admin's page of engines: configuration, where each engine sends the audio, and a connection test.

The page belongs to no model, so `transcribe_site/urls.py` lists its addresses before the admin's.
"""

from collections.abc import Callable
from typing import Any

from asgiref.sync import async_to_sync
from django.contrib import admin, messages
from django.contrib.auth.decorators import permission_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.views.decorators.http import require_POST, require_safe

from streaming.engines.base import Engine, EngineError
from streaming.engines.registry import engine_class, engine_classes
from uploads import db_connections

View = Callable[..., HttpResponse]


def for_operators(view: View) -> View:
    """Allow only staff who may change jobs: a test can cost money. Others get the sign-in page or 403."""

    return admin.site.admin_view(permission_required("streaming.change_job", raise_exception=True)(view))


def has_connection(engine: type[Engine]) -> bool:
    """Return whether an engine overrides the connection test."""
    inherited: Any = Engine.test_connection
    own: Any = engine.test_connection
    return own.__func__ is not inherited.__func__


@for_operators
@require_safe
def engines(request: HttpRequest) -> HttpResponse:
    """Show the site's engines, each with its missing configuration and the address to which it sends audio."""
    rows = [(engine, engine.missing(), engine.address(), has_connection(engine)) for engine in engine_classes()]
    context = {**admin.site.each_context(request), "title": "Engines", "rows": rows}
    return TemplateResponse(request, "admin/engines.html", context)


@for_operators
@require_POST
def test(request: HttpRequest, name: str) -> HttpResponse:
    """Test an engine's connection and show the result as a message. May take half a minute."""
    try:
        engine = engine_class(name)
    except EngineError as error:
        raise Http404 from error
    db_connections.release()  # the service may answer slowly, and the test needs no database
    try:
        result = async_to_sync(engine.test_connection)()
    except EngineError as error:
        messages.error(request, f"{engine.label}: {error}")
    else:
        messages.success(request, result or f"{engine.label} needs no connection.")
    return redirect("engines")


urlpatterns = [path("", engines, name="engines"), path("<str:name>/test/", test, name="engine-test")]
