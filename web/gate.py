"""How many requests one process works on at once."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

THREADS = 32
"""Of a process. Each answer holds one until it is read to its end."""
_AT_ONCE = 8  # that work: more of them get into each other's way


class Gate:
    """Eight requests are worked on at once; what is read slowly, such as a long file, holds none of these places."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app
        self._places = threading.BoundedSemaphore(_AT_ONCE)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """The answer, whose body may still be to come."""
        with self._places:
            return self._app(environ, start_response)
