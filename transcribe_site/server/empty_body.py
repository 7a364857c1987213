"""Hides a body from Twisted's form parser and daphne's in-memory queue. Used by `http.py`."""

from typing import Any


class EmptyBody:
    """A file that looks empty to Twisted and daphne, and keeps the real body for the application."""

    closed = False

    def __init__(self, content: Any) -> None:
        self._content = content

    def seek(self, *_: int) -> None:
        pass

    def tell(self) -> int:
        return 0

    def read(self, *_: int) -> bytes:
        return b""

    def close(self) -> None:
        if self._content is not None:
            self._content.close()

    def detach(self) -> Any:
        """Return the body. The caller closes it, not the end of the request: a thread may still be reading it."""
        content, self._content = self._content, None
        return content
