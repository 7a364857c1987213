"""Multipart forms that Django parses while they arrive, so that a file in a form is written to disk once.

Used by `http.py`, which writes the body of a request into a `Form`, and by `asgi_handler.py`, whose requests return its
result. Django's parser blocks while it waits for data. Each form therefore has a thread, which runs the parser and the
upload handlers, and a queue from the event loop to that thread.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import IO, Any, cast

from django.core.files.uploadhandler import StopUpload
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, QueryDict
from django.utils.datastructures import MultiValueDict

from transcribe_site.server.bodies import Headers, header
from uploads.files.upload_handler import DISK_ERROR

# Each form has a thread. The bodies of further forms are stored first and parsed afterwards.
MAX_FORMS = 32
MAX_FORMS_OF_PERSON = 8  # slow uploads of one user must not use up the threads of all
QUEUE_BYTES = 256 * 1024  # the sender is paused above this
READ_BYTES = 64 * 1024

_lock = threading.Lock()  # forms begin on the event loop and end in their threads
_forms_of: Counter[int] = Counter()  # the running forms by the primary keys of their senders


class Form:
    """The body of a form: the event loop writes it, and the parser reads it in a thread.

    `on_full` is called with True when the sender must pause, and with False when it may send again. `on_parsed` is
    called when the parser has ended: by then `error` holds its exception, if any. Both are called on the event loop,
    which also runs all other methods except `read` and `result`.
    """

    closed = False
    error: Exception | None = None

    def __init__(self, on_full: Callable[[bool], None], on_parsed: Callable[[], None]) -> None:
        self.is_parsed = False
        self._on_full = on_full
        self._on_parsed = on_parsed
        self._is_full = False
        self._received_bytes = 0
        self._queued_bytes = 0
        self._queue: SimpleQueue[bytes] = SimpleQueue()  # an empty chunk is the end of the body
        self._is_read = False
        self._chunk = bytearray()  # removed from the queue, but not yet read
        self._loop = asyncio.get_running_loop()

    def start(self, request: ASGIRequest, person_id: int) -> None:
        self._request = request
        self._person_id = person_id
        threading.Thread(target=self._parse, name="form").start()

    def write(self, data: bytes) -> None:
        self._received_bytes += len(data)
        if (
            not self.is_parsed
        ):  # otherwise the parser has failed: drop the rest, which the client sends before it reads the answer
            self._queued_bytes += len(data)
            self._queue.put(data)
            self._set_full(self._queued_bytes > QUEUE_BYTES)

    def end(self) -> None:
        """Signal to the parser that the body is complete."""
        self._queue.put(b"")

    def close(self) -> None:
        """Stop the parser if it runs, and close the files, which deletes those that no view has moved."""
        self.closed = True
        self._queue.put(b"")
        self._set_full(False)
        if self.is_parsed:
            self._close_files()

    def tell(self) -> int:
        return self._received_bytes

    def seek(self, *_: int) -> None:
        """The parser has read everything: there is nothing to read again."""

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes, fewer at the end. Waits for them."""
        while len(self._chunk) < size and not self._is_read and not self.closed:
            data = self._queue.get()
            self._is_read = not data
            self._chunk += data
            self._call(self._dequeued, len(data))
        if self.closed:
            raise StopUpload(connection_reset=True)
        if (disk_error := self._request.META.get(DISK_ERROR)) is not None:
            raise disk_error  # otherwise the parser would read the whole rest first
        data = bytes(self._chunk[:size])
        del self._chunk[:size]
        return data

    def readline(self) -> bytes:
        """Return data after the end of the form, which Django reads in lines and drops."""
        return self.read(READ_BYTES)

    def result(self) -> tuple[QueryDict, MultiValueDict]:
        """Return the fields and the files. Raises the parser's error."""
        if self.error is not None:
            raise self.error
        return self._request.POST, self._request.FILES

    def _parse(self) -> None:
        try:
            self._request.FILES  # noqa: B018 the property runs the parser
        except Exception as error:  # raised again in `result`, as if the view had parsed the form
            self.error = error
        finally:
            _release_thread(self._person_id)
        if self.closed:  # also when the event loop has ended
            self._close_files()
        self._call(self._parsed)

    def _call(self, function: Callable[..., None], *args: Any) -> None:
        with suppress(RuntimeError):  # the event loop is closed: the server has ended
            self._loop.call_soon_threadsafe(function, *args)

    def _dequeued(self, count: int) -> None:
        self._queued_bytes -= count
        self._set_full(self._queued_bytes > QUEUE_BYTES)

    def _parsed(self) -> None:
        self.is_parsed = True
        self._set_full(False)
        if self.closed:
            self._close_files()
        else:
            self._on_parsed()

    def _set_full(self, is_full: bool) -> None:
        if is_full != self._is_full:
            self._is_full = is_full
            self._on_full(is_full)

    def _close_files(self) -> None:
        HttpRequest.close(self._request)  # an `ASGIRequest` closes its body too, which is this form
        for handler in self._request.upload_handlers:
            if (unfinished := getattr(handler, "file", None)) is not None:
                unfinished.close()


def _reserve_thread(person_id: int) -> bool:
    """Count a form of a person. Returns False if all threads, or all that one person may have, are in use."""
    with _lock:
        is_free = _forms_of.total() < MAX_FORMS and _forms_of[person_id] < MAX_FORMS_OF_PERSON
        if is_free:
            _forms_of[person_id] += 1
        return is_free


def _release_thread(person_id: int) -> None:
    with _lock:
        _forms_of[person_id] -= 1
        if not _forms_of[person_id]:
            del _forms_of[person_id]


def begin(
    method: bytes,
    headers: Headers,
    length: int | None,
    person_id: int,
    on_full: Callable[[bool], None],
    on_parsed: Callable[[], None],
) -> Form | None:
    """Start to parse a body of `length` bytes (None: in chunks) that a person sends.

    Returns None if the body is no multipart form, or if no thread is free for this person.
    """
    form = Form(on_full, on_parsed)
    # The parser asks only whether there is a body; a chunked one has no length.
    own = {
        b"content-type": header(headers, b"content-type").encode("latin-1"),
        b"content-length": b"%d" % (length or 1),
    }
    scope = {"method": method.decode("latin-1"), "path": "/", "headers": own.items()}
    try:
        request = ASGIRequest(scope, cast(IO[bytes], form))
    except ValueError:  # as in `Handler.create_request`, which will refuse it
        return None
    is_form = request.method == "POST" and request.content_type == "multipart/form-data"
    # Other encodings are rare, and a middleware refuses most of them before anything is decoded.
    is_utf8 = (request.content_params or {}).get("charset", "utf-8").lower() == "utf-8"
    if not is_form or not is_utf8 or not _reserve_thread(person_id):
        return None
    try:
        form.start(request, person_id)
    except RuntimeError:  # the system has no thread left
        _release_thread(person_id)
        return None
    return form
