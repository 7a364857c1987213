"""What `http.py` shows to Twisted and daphne in place of a body, so that they neither parse nor queue it."""

from typing import Any


class SetAside:
    """Stands in for a body: Twisted and daphne get an empty one."""

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

    def take(self) -> Any:
        """Return the body, which the caller closes. It stays open when the request ends: a thread may be reading it."""
        content, self._content = self._content, None
        return content
