"""What machines ask: does the process live, can it work, and how does it do. Before session, host and sign-in.

Whoever asks may be a load balancer that calls the site by a number, and nobody has signed it in.
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

PART_SECONDS = 2.0  # what takes longer to answer can't be worked with
KEEP_SECONDS = 1.0  # anybody may ask, but not as often as he likes


class Part:
    """A part that the site needs, asked in a thread of its own: if it hangs, that thread hangs and nothing else."""

    def __init__(self, name: str, ask: Callable[[], None]) -> None:
        self.name = name
        self._ask = ask
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=f"ready-{name}")
        self._lock = threading.Lock()
        self._answer: Future[None] | None = None
        self._answered_at = 0.0
        self._is_ok = True

    def begin(self) -> "Future[None]":
        """Return the answer that is on its way, or one that is not older than a second, or ask."""
        with self._lock:
            is_old = time.monotonic() - self._answered_at >= KEEP_SECONDS
            if self._answer is None or (self._answer.done() and is_old):
                self._answer = self._executor.submit(self._timed)
            return self._answer

    def _timed(self) -> None:
        try:
            self._ask()
        finally:
            self._answered_at = time.monotonic()

    def is_ok(self, answer: "Future[None]", until: float) -> bool:
        """Say whether that is a good answer, at the latest at `until`. The log has why not, once."""
        failure = ""
        try:
            answer.result(timeout=max(0.0, until - time.monotonic()))
        except TimeoutError:
            failure = f"nothing within {PART_SECONDS:g} s"
        except Exception as error:  # whatever its client raises: it can't be worked with
            failure = f"{type(error).__name__}: {error}"
        if self._is_ok is not (not failure):
            self._is_ok = not failure
            if failure:
                logger.warning("The %s does not answer: %s", self.name, failure)
            else:
                logger.info("The %s answers again", self.name)
        return not failure


def ask_database() -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM django_migrations LIMIT 1")
    finally:
        connection.close()  # of this thread, which no request looks after


PARTS = [Part("database", ask_database), Part("storage", storage.check)]


def failing() -> list[str]:
    """Return the names of the parts that don't answer, after `PART_SECONDS` at most for all of them."""
    until = time.monotonic() + PART_SECONDS
    answers = [(part, part.begin()) for part in PARTS]
    # The channel layer belongs to the event loop, which runs it for this thread; it has a timeout of its own.
    layer = [] if async_to_sync(publisher.is_answering)() else ["channel layer"]
    return [part.name for part, answer in answers if not part.is_ok(answer, until)] + layer


def monitoring(get_response: GetResponse) -> GetResponse:
    """Answer /healthz, /readyz and /metrics; pass on everything else."""

    def answer(request: HttpRequest) -> HttpResponse:
        match request.path:
            case "/healthz":
                return HttpResponse("ok\n", content_type="text/plain")
            case "/readyz":
                return ready()
            case "/metrics" if settings.TRANSCRIBE_METRICS_TOKEN:
                return measured(request)
        return get_response(request)

    return answer


def ready() -> HttpResponse:
    lines = [f"{name}: does not answer\n" for name in failing()]
    status, text = (503, "".join(lines)) if lines else (200, "ok\n")
    return HttpResponse(text, status=status, content_type="text/plain", headers={"Cache-Control": "no-store"})


def measured(request: HttpRequest) -> HttpResponse:
    given = request.headers.get("Authorization", "").encode()
    if not hmac.compare_digest(given, f"Bearer {settings.TRANSCRIBE_METRICS_TOKEN}".encode()):
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    return HttpResponse(metrics.site_metrics(), content_type=CONTENT_TYPE_LATEST)
