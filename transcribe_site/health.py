"""Liveness, readiness and metrics endpoints for load balancers and Prometheus: /healthz, /readyz and /metrics.

A middleware answers them before the checks of host, session and sign-in, because a load balancer requests the site by
its IP address and without an account.
"""

import hmac
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from asgiref.sync import async_to_sync
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST

from streaming import metrics, publisher
from uploads.files import storage

logger = logging.getLogger(__name__)

GetResponse = Callable[[HttpRequest], HttpResponse]

PATHS = {"/healthz", "/readyz", "/metrics"}
CHECK_SECONDS = 2.0  # a slower dependency counts as failed
CACHE_SECONDS = 1.0  # the endpoints are public, so each dependency is checked at most once a second


class Dependency:
    """A service that the site needs. Each is checked in its own thread, so a check that hangs blocks no other."""

    def __init__(self, name: str, check: Callable[[], None]) -> None:
        self.name = name
        self._check = check
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=f"ready-{name}")
        self._lock = threading.Lock()
        self._answer: Future[None] | None = None
        self._answered_at = 0.0
        self._is_ok = True

    def begin(self) -> "Future[None]":
        """Return the running check, or one that ended less than a second ago, or start a new one."""
        with self._lock:
            is_old = time.monotonic() - self._answered_at >= CACHE_SECONDS
            if self._answer is None or (self._answer.done() and is_old):
                self._answer = self._executor.submit(self._timed)
            return self._answer

    def _timed(self) -> None:
        try:
            self._check()
        finally:
            self._answered_at = time.monotonic()

    def is_ok(self, answer: "Future[None]", until: float) -> bool:
        """Return whether the check succeeds before `until`. Logs the first failure and the recovery."""
        failure = ""
        try:
            answer.result(timeout=max(0.0, until - time.monotonic()))
        except TimeoutError:
            failure = f"no answer within {CHECK_SECONDS:g} s"
        except Exception as error:  # client libraries have their own; any means that it is unusable
            failure = f"{type(error).__name__}: {error}"
        if self._is_ok is not (not failure):
            self._is_ok = not failure
            if failure:
                logger.warning("The %s does not answer: %s", self.name, failure)
            else:
                logger.info("The %s answers again", self.name)
        return not failure


def check_database() -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM django_migrations LIMIT 1")
    finally:
        connection.close()  # Django closes connections after requests, which this thread does not run


DEPENDENCIES = [Dependency("database", check_database), Dependency("storage", storage.check)]


def failing() -> list[str]:
    """Return the names of the dependencies that don't answer, after `CHECK_SECONDS` at most for all of them."""
    until = time.monotonic() + CHECK_SECONDS
    answers = [(each, each.begin()) for each in DEPENDENCIES]
    # The channel layer belongs to the event loop, which runs the check for this thread. The check has its own timeout.
    layer = [] if async_to_sync(publisher.is_answering)() else ["channel layer"]
    return [each.name for each, answer in answers if not each.is_ok(answer, until)] + layer


def monitoring(get_response: GetResponse) -> GetResponse:
    """Answer /healthz, /readyz and /metrics; pass all other requests on."""

    def answer(request: HttpRequest) -> HttpResponse:
        match request.path:
            case "/healthz":
                return HttpResponse("ok\n", content_type="text/plain")
            case "/readyz":
                return ready()
            case "/metrics" if settings.TRANSCRIBE_METRICS_TOKEN:
                return metrics_response(request)
        return get_response(request)

    return answer


def ready() -> HttpResponse:
    lines = [f"{name}: does not answer\n" for name in failing()]
    status, text = (503, "".join(lines)) if lines else (200, "ok\n")
    return HttpResponse(text, status=status, content_type="text/plain", headers={"Cache-Control": "no-store"})


def metrics_response(request: HttpRequest) -> HttpResponse:
    given = request.headers.get("Authorization", "").encode()
    if not hmac.compare_digest(given, f"Bearer {settings.TRANSCRIBE_METRICS_TOKEN}".encode()):
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    return HttpResponse(metrics.site_metrics(), content_type=CONTENT_TYPE_LATEST)
