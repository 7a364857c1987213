"""The engines in the admin: which are set up, where the sound goes, and whether the way there is open.

The page belongs to no model, so it has an address of its own, which `transcribe_site/urls.py` puts before the admin's.
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
    """Let in staff who may change jobs: a test can cost money. Who isn't staff is asked to sign in as somebody else."""

    return admin.site.admin_view(permission_required("streaming.change_job", raise_exception=True)(view))


def has_connection(engine: type[Engine]) -> bool:
    """Tell whether an engine has a test of its own."""
    inherited: Any = Engine.test_connection
    own: Any = engine.test_connection
    return own.__func__ is not inherited.__func__


@for_operators
@require_safe
def engines(request: HttpRequest) -> HttpResponse:
    """Show the engines of this site, each with what it lacks and where it sends the sound."""
    rows = [(engine, engine.missing(), engine.address(), has_connection(engine)) for engine in engine_classes()]
    context = {**admin.site.each_context(request), "title": "Engines", "rows": rows}
    return TemplateResponse(request, "admin/engines.html", context)


@for_operators
@require_POST
def test(request: HttpRequest, name: str) -> HttpResponse:
    """Test an engine's connection, which takes its time, and show what came of it."""
    try:
        engine = engine_class(name)
    except EngineError as error:
        raise Http404 from error
    db_connections.release()  # the service may take long to answer
    try:
        said = async_to_sync(engine.test_connection)()
    except EngineError as error:
        messages.error(request, f"{engine.label}: {error}")
    else:
        messages.success(request, said or f"{engine.label} needs no connection.")
    return redirect("engines")


urlpatterns = [path("", engines, name="engines"), path("<str:name>/test/", test, name="engine-test")]
